package main

import (
	"os"

	"github.com/towline/towline/pkg/service"
	"github.com/towline/towline/services/policy/internal/app"
)

func main() { os.Exit(service.Main("towline-policy", app.Run)) }
