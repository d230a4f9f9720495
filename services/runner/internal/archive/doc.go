// Package archive selects files of a job's project directory, packs them (zip,
// gzip, raw, tar.zst) and unpacks what other jobs have packed.
//
// The stages of artifacts and cache of a job process call it. Everything it
// unpacks counts as hostile: it writes only through an os.Root, makes no
// devices, hard links or setuid files, leaves no link that leads outside, and
// stops at named limits. It never follows a symbolic link of the project when
// it packs, and it knows neither GitLab nor HTTP.
package archive
