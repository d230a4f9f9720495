package job

import (
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/pkg/jobspec"
	"github.com/towline/towline/services/runner/internal/cache"
)

// cacheServer is a supervisor's cache.
func cacheServer(t *testing.T) (open func(*Spec) *Spec) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := cache.OpenDirectory(t.TempDir(), time.Hour, 1<<30, log)
	if err != nil {
		t.Fatal(err)
	}
	server := cache.NewServer(store, log)
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	u, err := url.Parse(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return func(spec *Spec) *Spec {
		var end func()
		spec.Cache, end = server.Open(&spec.Job, Expander(spec), uint16(port), "")
		t.Cleanup(end)
		return spec
	}
}

// caching adds caches to a job.
func (s *Spec) caching(list ...jobspec.Cache) *Spec {
	s.Job.Cache = list
	s.Job.Features.TraceSections = true
	return s
}

func TestCacheOverTwoJobs(t *testing.T) {
	open := cacheServer(t)
	vendor := jobspec.Cache{Key: "$REF-protected", Paths: []string{"vendor/"}}
	ref := jobspec.Variable{Key: "REF", Value: "main"}
	first := runJob(t, open(testSpec(t, "mkdir vendor", "echo kept > vendor/f").with(ref).caching(vendor)))
	for _, want := range []string{
		"Checking cache for main-protected...", "WARNING: file does not exist", "WARNING: Failed to extract cache",
		"Creating cache main-protected...", "vendor/: found 2 matching artifact files and directories", "Created cache",
	} {
		if !strings.Contains(first.runner, want) {
			t.Errorf("%q is missing in the first log:\n%s", want, first.runner)
		}
	}
	second := runJob(t, open(testSpec(t, "cat vendor/f").with(ref).caching(vendor)))
	if second.said() != "kept\n" || !strings.Contains(second.runner, "Successfully extracted cache") {
		t.Errorf("said %q\n%s", second.said(), second.runner)
	}
	stages := strings.Join(stagesOf(second.log), " ")
	if stages != "prepare_executor prepare_script get_sources restore_cache step_script archive_cache cleanup_file_variables" {
		t.Errorf("stages %s", stages)
	}
	fallback := vendor
	fallback.Key, fallback.FallbackKeys, fallback.Policy = "feature-protected", []string{"main-protected"}, "pull"
	third := runJob(t, open(testSpec(t, "cat vendor/f").caching(fallback)))
	if third.said() != "kept\n" || !strings.Contains(third.runner, "Not uploading cache feature-protected due to policy") {
		t.Errorf("said %q\n%s", third.said(), third.runner)
	}
	push := vendor
	push.Policy = "push"
	fourth := runJob(t, open(testSpec(t, "ls; exit 3").with(ref).caching(push)))
	if fourth.said() != "" || !strings.Contains(fourth.runner, "Not downloading cache main-protected due to policy") || strings.Contains(fourth.runner, "Creating cache") {
		t.Errorf("said %q\n%s", fourth.said(), fourth.runner)
	}
}

func TestCacheOfAFailedJob(t *testing.T) {
	open := cacheServer(t)
	entry := jobspec.Cache{Key: "k", Paths: []string{"f"}, When: "on_failure"}
	got := runJob(t, open(testSpec(t, "echo > f; exit 3").caching(entry)))
	if !strings.Contains(got.log, ":archive_cache_on_failure\r") || !strings.Contains(got.runner, "Created cache") || got.result.ExitCode != 3 {
		t.Errorf("result %+v\n%s", got.result, got.runner)
	}
}

func TestACacheThatFailsDoesNotFailTheJob(t *testing.T) {
	spec := testSpec(t, "echo > f", "echo ran").caching(jobspec.Cache{Key: "k", Paths: []string{"f"}}, jobspec.Cache{Key: "l", Paths: []string{"missing"}})
	spec.Cache = &cache.Grant{URL: "http://127.0.0.1:1/x", Entries: []cache.Entry{
		{Keys: []string{"k"}, Policy: cache.PolicyPullPush}, {Keys: []string{"l"}, Policy: cache.PolicyPush},
	}}
	got := runJob(t, spec)
	if got.result.State != StateSuccess || got.said() != "ran\n" || strings.Count(got.runner, "WARNING: Failed to create cache") != 2 || !strings.Contains(got.runner, "no files to cache") {
		t.Errorf("result %+v\n%s", got.result, got.runner)
	}
}

func TestAnUnknownCachePolicyFailsTheJob(t *testing.T) {
	open := cacheServer(t)
	got := runJob(t, open(testSpec(t, "echo never").caching(jobspec.Cache{Key: "k", Paths: []string{"f"}, Policy: "both"})))
	want := Result{State: StateFailed, FailureReason: ReasonConfiguration, Message: "unknown cache policy both for k"}
	if got.result != want || got.stdout != "" {
		t.Errorf("result %+v, stdout %q", got.result, got.stdout)
	}
}

func TestARunnerWithoutCacheSaysSoOnce(t *testing.T) {
	got := runJob(t, testSpec(t, "echo ran").caching(jobspec.Cache{Key: "k", Paths: []string{"f"}}, jobspec.Cache{Key: "l", Paths: []string{"f"}}))
	if strings.Count(got.runner, "The cache is not used: this runner has none") != 1 || strings.Contains(got.log, "restore_cache") || got.result.State != StateSuccess {
		t.Errorf("result %+v\n%s", got.result, got.log)
	}
}
