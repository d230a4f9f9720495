package gitlabsim

import (
	"fmt"
	"testing"
)

func TestExpandAll(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []item
		want string
	}{
		"forward reference":     {[]item{{key: "A", value: "$B-x"}, {key: "B", value: "b"}}, "B=b A=b-x "},
		"last duplicate wins":   {[]item{{key: "D", value: "1"}, {key: "D", value: "2"}, {key: "R", value: "${D}"}}, "D=1 D=2 R=2 "},
		"undefined stays":       {[]item{{key: "A", value: "$NO ${NO} %NO%"}}, "A=$NO ${NO} %NO% "},
		"escapes stay":          {[]item{{key: "B", value: "b"}, {key: "A", value: "$$B %%"}}, "B=b A=$$B %% "},
		"file and raw are kept": {[]item{{key: "F", value: "f", file: true}, {key: "W", value: "$F", raw: true}, {key: "A", value: "$F$W"}}, "F=f W=$F A=$F$W "},
		"windows style":         {[]item{{key: "B", value: "b"}, {key: "A", value: "%B%"}}, "B=b A=b "},
		"itself":                {[]item{{key: "A", value: "x$A"}}, "A=x$A "},
		"chain":                 {[]item{{key: "A", value: "$B"}, {key: "B", value: "$C"}, {key: "C", value: "c"}}, "C=c B=c A=c "},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := expandAll(tt.in)
			got := ""
			for _, v := range out {
				got += fmt.Sprintf("%s=%s ", v.key, v.value)
			}
			if err != nil || got != tt.want {
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
	if _, err := expandAll([]item{{key: "A", value: "$B"}, {key: "B", value: "$A"}}); err == nil {
		t.Error("a cycle is accepted")
	}
}
