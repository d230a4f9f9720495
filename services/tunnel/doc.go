// Command tunnel is the only part of Towline that talks to GitLab.
package main
