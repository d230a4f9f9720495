// Command demo runs the main job of Towline on one machine: it starts a real
// Kubernetes API, Redis, a simulated GitLab and the three services as separate
// processes, runs the pipeline of project/ and tells what happens.
//
// make demo calls it. Everything it starts it stops, and it leaves no file
// behind except the caches of built programs.
package main
