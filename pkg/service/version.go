package service

// Version of Towline. Release builds set it with
// -ldflags "-X github.com/towline/towline/pkg/service.Version=v1.2.3".
var Version = "0.1.0-dev"
