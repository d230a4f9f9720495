// Package envsubst is the envsubst of GNU gettext: it replaces $NAME and
// ${NAME} in standard input by the variables of the environment.
//
// The toolbox calls it for each `envsubst` of a script. It knows no other
// syntax: ${NAME:-default} and the like stay as they are, as with GNU's.
package envsubst
