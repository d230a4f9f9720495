package cache

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/pkg/jobspec"
)

// expander resolves variables as a job's process does.
func expander(vars jobspec.Variables) func([]string) []string {
	return func(items []string) []string {
		list := append(jobspec.Variables{}, vars...)
		for i, item := range items {
			list = append(list, jobspec.Variable{Key: fmt.Sprintf("\x00%d", i), Value: item})
		}
		var out []string
		for _, v := range list.Expanded(func(key string) string { return "/files/" + key })[len(vars):] {
			out = append(out, v.Value)
		}
		return out
	}
}

func jobWith(vars jobspec.Variables, caches ...jobspec.Cache) *jobspec.Job {
	return &jobspec.Job{
		ID: 1001, JobInfo: jobspec.JobInfo{ProjectID: 20, Name: "deploy", ProjectFullPath: "acme/app"}, GitInfo: jobspec.GitInfo{Ref: "main"},
		Variables: vars, Cache: caches,
	}
}

func TestKeys(t *testing.T) {
	vars := jobspec.Variables{
		{Key: "REF", Value: "main"}, {Key: "PROTECTED", Value: "main-protected"}, {Key: "UP", Value: "../.."}, {Key: "-", Value: "x-protected"},
	}
	for raw, want := range map[string]string{
		"$REF-protected":                "main-protected",
		"${REF}/x-non_protected":        "main/x-non_protected",
		"$PROTECTED-non_protected":      "main-protected-non_protected",
		"main-protected/-non_protected": "main-protected/-non_protected",
		"a$-non_protected":              "a$-non_protected",
		"a${-non_protected":             "a-non_protected",
		"a$$-protected":                 "a$-protected",
		"$UP/x-non_protected":           "x-non_protected",
		`a\..\b-protected`:              "a/b-protected",
		"a/./b//c ":                     "a/b/c",
		"x\ny":                          "x_y",
		"$NOTHING-non_protected":        "-non_protected",
		"":                              "deploy/main",
		"0-$REF":                        "0-main",
	} {
		entries, err := Resolve(jobWith(vars, jobspec.Cache{Key: raw}), expander(vars))
		if err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		if diff := cmp.Diff([]string{want}, entries[0].Keys); diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
	}
	for _, raw := range []string{"/", "..", "$NOTHING", " "} {
		entries, err := Resolve(jobWith(vars, jobspec.Cache{Key: raw, FallbackKeys: []string{"f"}}), expander(vars))
		if err != nil || len(entries[0].Keys) != 0 || len(entries[0].Notices) != 1 {
			t.Errorf("%q: %+v, %v", raw, entries, err)
		}
	}
}

// An author who may not write what protected branches read must not be able to
// name it, in no spelling.
func TestNoKeyOfAnUnprotectedBranchIsAProtectedOne(t *testing.T) {
	vars := jobspec.Variables{{Key: "P", Value: "main-protected"}, {Key: "-", Value: "main-protected"}, {Key: "EMPTY", Value: ""}}
	for _, stem := range []string{
		"main", "main-protected", "$P", "${P}", "$P/", "$P/..", "$P\\", "$P ", "$", "${", "$P$", "$P${", "x/../$P", "$P$EMPTY", "$P\n", "main-protected/.", "",
	} {
		entries, err := Resolve(jobWith(vars, jobspec.Cache{Key: stem + openSuffix, FallbackKeys: []string{stem + openSuffix}}), expander(vars))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range entries[0].Keys {
			if !strings.HasSuffix(key, openSuffix) {
				t.Errorf("%q became %q", stem+openSuffix, key)
			}
		}
	}
	for _, value := range []string{"main-protected", "main-protected/", "main-protected ", "a/../main-protected", "main-protected/..", `main-protected\`, "main-protected/."} {
		vars := jobspec.Variables{{Key: "CACHE_FALLBACK_KEY", Value: value}}
		entries, err := Resolve(jobWith(vars, jobspec.Cache{Key: "k" + openSuffix}), expander(vars))
		if err != nil || len(entries[0].Keys) != 1 || len(entries[0].Notices) != 1 || !strings.Contains(entries[0].Notices[0], `not allowed to end in "-protected"`) {
			t.Errorf("%q: %+v, %v", value, entries, err)
		}
	}
}

func TestFallbacksAndPolicies(t *testing.T) {
	vars := jobspec.Variables{{Key: "CACHE_FALLBACK_KEY", Value: "common"}, {Key: "POLICY", Value: "pull"}}
	entries, err := Resolve(jobWith(vars,
		jobspec.Cache{Key: "a-protected", FallbackKeys: []string{"b-protected", "c-protected"}},
		jobspec.Cache{Key: "p", Policy: "$POLICY"}, jobspec.Cache{Key: "q", Policy: "push"},
	), expander(vars))
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Keys: []string{"a-protected", "b-protected", "c-protected", "common"}, Policy: "pull-push"},
		{Keys: []string{"p", "common"}, Policy: "pull"},
		{Keys: []string{"q", "common"}, Policy: "push"},
	}
	if diff := cmp.Diff(want, entries); diff != "" {
		t.Error(diff)
	}
	for i, rw := range [][2]bool{{true, true}, {true, false}, {false, true}} {
		if entries[i].Reads() != rw[0] || entries[i].Writes() != rw[1] {
			t.Errorf("%s reads %v, writes %v", entries[i].Policy, entries[i].Reads(), entries[i].Writes())
		}
	}
	if _, err := Resolve(jobWith(nil, jobspec.Cache{Key: "k", Policy: "both"}), expander(nil)); err == nil || err.Error() != "unknown cache policy both for k" {
		t.Errorf("error %v", err)
	}
	if _, err := Resolve(jobWith(nil, make([]jobspec.Cache, 33)...), expander(nil)); err == nil {
		t.Error("33 caches were accepted")
	}
}
