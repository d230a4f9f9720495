package main

import (
	"os"

	"github.com/towline/towline/services/runner/internal/toolbox/callback"
)

func main() { os.Exit(callback.Forward(os.Args)) }
