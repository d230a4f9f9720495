package main

import (
	"os"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/tunnel/internal/app"
)

func main() { os.Exit(service.Main("towline-tunnel", app.Run)) }
