// Command versions keeps the go.mod files in step: tools/versions.txt says which
// versions the modules agree on, and this program compares, or with --write sets
// them. Go itself lets each module of a workspace choose, and then builds
// something else in the workspace than in an image.
package main
