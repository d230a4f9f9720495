package shell

// repaired are scripts that the interpreter alone would run in another way without
// saying so.
var repaired = map[string]string{
	"indirection with an operator":   `a=hello; n=a; echo ${!n:1:2} ${!n/l/L} ${!n//l/L} ${!n%lo} ${!n@U} ${!n+set} ${!n/#he/X} ${!n/%lo/Y} ${!n##*l} ${!n: -2} "${!n,,}"; n=b; echo ${!n:-x} "${!n-y z}" ${!n+no} ${!n:=w} $b; b=; : "${!n:=z}"; echo $b ${b[0]}`,
	"indirection that names nothing": `unset n; echo ${!n:-x}; echo never`,
	"indirection through no name":    `n="a b"; echo ${!n:-x}; echo never`,
	"indirection that must be set":   `required() { for name in "$@"; do : "${!name:?$name must be set}"; done; }; A=1; required A HOME; required NOPE; echo never`,
	"indirection under nounset":      `set -u; n=a; echo ${!n-none} "${!n:+x}"; a=1; echo ${!n^^}; unset a; echo ${!n^^}; echo never`,
	"indirection not reached":        `n=; [[ -n $n && -n ${!n} ]] || echo fine; unset m; [[ -n ${m:-} && ${!m} ]] || echo fine`,
	"indirection to elements":        `a=(1 2 3); n="a[1]"; echo ${!n} ${!n:-x} ${!n^^}; n="a[@]"; printf "<%s>" "${!n}" "${!n/#/p}" "${!n:1}"; for x in "${!n}"; do echo $x; done; b=("${!n}"); echo ${#b[@]}; n="a[5]"; echo ${!n:-none}; declare -A m=([k]=v); n="m[k]"; echo ${!n}; k=k; n="m[\$k]"; echo "${!n:-d}" ${!m[@]}; n=a; echo ${!n}; e=(); n="e[@]"; printf "<%s>" "${!n}" "${!n:-d}"; c=(a); echo ${!c[0]} ${!c[0]:-z}; declare -n r=b; echo ${!r:-x}`,
	"indirection to parameters":      `set -- p "q r"; n=1; echo ${!n} ${!n:-x} "${!#}"; n=3; echo ${!n:-none} ${!9:-x}; n=@; printf "<%s>" "${!n}"; n=*; printf "<%s>" "${!n}"; set -- HOME; [ "${!1:-x}" = "$HOME" ] && echo home; (exit 4); echo $? ${!1:+set}`,
	"indirection everywhere":         "f() { local var=$1 def=$2; echo \"${!var:-$def}\"; local v; v=${!var:-}; if [ -z \"${!var:-}\" ]; then echo unset; fi; }; A=5; f A x; f B y; x=$(f A z); echo $x; f A | cat; i=0; while ((i < 2)); do v=A; ((i++)); echo ${!v:-q}; v=B; done; v=A w=B; cat <<E\n${!v} ${!w:-none}\nE\neval 'echo ${!v:-e}'; echo 'echo ${!v:-l}' > l; . ./l; case ${!v:-} in 5) echo five;; esac; (( ${!v} == 5 )) && echo eq; cat <<< \"${!v%5}6\"; true && echo \"${!v#5}.\" | cat; echo ${!v:-7} > o; cat o; x=A; x=B y=${!x:-z}; echo $y; f() { [ $1 = 0 ] && return; local n=v$1; local v1=a v2=b; echo ${!n:-none}; f $(($1-1)); echo ${!n}; }; f 2",

	"errexit after what is exempt":    `set -e; for i in a b; do if [ $i = b ]; then echo b; [ $i = a ] && echo a; fi; done; echo on; { false && true; }; case x in x) ! true ;; esac; echo in; true && { false && true; }; [ -n x ] && for i in 1; do [ $i = 2 ] && echo; done; f() { if true; then [ 1 = 2 ] && echo; fi; echo f; { [ 1 = 1 ] && false; }; echo never; }; f; echo never`,
	"errexit at the end of functions": `set -e; f() { for i in a; do [ $i = b ] && echo b; done; }; f || echo failed; x=$(if true; then [ 1 = 2 ] && echo; fi; echo sub); echo $x; (if true; then false && true; fi; echo s); f; echo never`,
	"code after what is exempt":       `for i in a b; do [ $i = a ] && echo a; done; echo $?; { ! true; }; echo $?; if true; then false && true; fi || echo or; f() { for i in a b; do [ $i = a ] && echo a; done; }; f; echo $?; f && echo no; if true; then (exit 3) && true; fi; rc=$?; echo $rc`,
	"counted loop that fails":         `set -e; for ((i=0;i<4;i++)); do [ $i = 2 ] && echo $i; done; echo on; set +e; for ((i=0;i<4;i++)); do [ $i = 2 ] && continue; [ $i = 3 ] && break; false; done; echo $i; set -e; for ((;;)); do false; done; echo never`,
	"tests are lazy":                  `n() { echo called >> log; echo 1; }; [[ 1 == 2 && $(n) ]]; echo $?; [[ (1 == 1 || $(n)) && 4 == 5 ]]; echo $?; [ -e log ] || echo lazy; f() { [[ $1 && $1 == a ]]; }; f a; echo $?; f b; echo $?; set -eu; a=b; [[ -z ${x:-} || $x == y ]]; echo 1; if [[ -n ${x:-} && $x == y ]]; then echo no; else echo 2; fi; [[ ! ( -n ${x:-} && $x == y ) && ( $a == b || $x ) ]] && echo 3; [[ v1.2 =~ ^v([0-9]) && ${BASH_REMATCH[1]} == 1 ]] && echo 4; [[ $a == c && $a == d ]] || echo 5; [[ $a == b && $a == d ]]; echo never`,

	"local variable without a value": `f() { local x; echo "[$x]"; x=2; local x; echo $x; local y=3 z; echo $y$z; local -a a; local -A m; a+=(1); m[k]=2; echo ${a[@]} ${#m[@]}; }; x=1 z=9 a=(9 8); declare -A m=([q]=1); f; echo $x $z ${a[@]} ${m[@]}; g() { local OPTIND o; while getopts ab o; do echo $o; done; }; g -a -b; g -b`,
	"subshell of a function":         `f() { local y=1; (local x=2; echo $x; y=3; echo $y); echo $y; x=$(echo a; return 3; echo b); echo $? $x; (return 5; echo no); echo $?; printf 'a\nb\n' | while read -r l; do local z=$l; echo $z; [ $l = a ] && return 4; done; echo $?; g() { (return 3); echo $?; return 4; }; (g; echo $?); { return 6; } & wait $!; echo $?; }; f`,
	"telling a sourced file":         `echo '(return 0 2>/dev/null) && echo sourced || echo not' > l; . ./l; bash l; f() { . ./l; }; f; (return 0) 2>/dev/null || echo not`,
}
