package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Goals of the apply engine, beside kubectl with the same 1,000 mixed objects in
// 20 namespaces.
const (
	goalFirstClient  = 3   // times as fast as kubectl apply, first
	goalFirstServer  = 1.7 // times as fast as kubectl apply --server-side, first
	goalFirstShare   = 0.8 // of the patches per second that the API server does
	goalAgainServer  = 12  // as above, unchanged
	goalAgainClient  = 150
	goalEngineMemory = 150 // MiB, for 5,000 objects
)

const enginePackage = "./services/runner/internal/apply/"

// measureEngine runs the benchmarks that stand beside the engine, which no other
// module can call, against this measurement's API server.
func measureEngine(ctx context.Context, s *site, _ options, r *report) error {
	got, err := s.goBench(ctx, enginePackage, "BenchmarkBesideKubectl|BenchmarkMemory")
	if err != nil {
		return err
	}
	took := func(way string) time.Duration { return time.Duration(got[way+"-ms"] * float64(time.Millisecond)) }
	for _, turn := range []string{"first", "again"} {
		rows := []row{
			{"kubectl apply", took("client-side-" + turn), took("client-side-" + turn)},
			{"kubectl apply --server-side", took("server-side-" + turn), took("client-side-" + turn)},
			{"engine", took("engine-" + turn), took("client-side-" + turn)},
		}
		if turn == "first" {
			rows = append(rows, row{"patches alone, by many workers", took("bare-first"), took("client-side-first")})
		}
		r.table(map[string]string{"first": "1,000 mixed objects in 20 namespaces, new:", "again": "The same, unchanged:"}[turn], rows)
	}
	times := func(way, other string) float64 { return ratio(took(other), took(way)) }
	r.atLeast("first apply, times as fast as kubectl apply", times("engine-first", "client-side-first"), goalFirstClient)
	r.atLeast("first apply, times as fast as kubectl apply --server-side", times("engine-first", "server-side-first"), goalFirstServer)
	r.atLeast("first apply, share of what the API server does", times("engine-first", "bare-first"), goalFirstShare)
	r.atLeast("unchanged, times as fast as kubectl apply --server-side", times("engine-again", "server-side-again"), goalAgainServer)
	r.atLeast("unchanged, times as fast as kubectl apply", times("engine-again", "client-side-again"), goalAgainClient)
	r.atMost("memory with 5,000 new objects, MiB (peak)", got["first-MiB"], goalEngineMemory)
	r.atMost("memory with 5,000 unchanged objects, MiB (peak)", got["again-MiB"], goalEngineMemory)
	return nil
}

// goBench runs benchmarks of a package once and returns their figures by unit.
func (s *site) goBench(ctx context.Context, pkg, pattern string) (map[string]float64, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-tags", "integration", "-run", "^$", "-bench", pattern, "-benchtime", "1x", "-timeout", "30m", pkg)
	cmd.Env = append(os.Environ(), "TOWLINE_E2E_KUBECONFIG="+s.cluster.Kubeconfig(), "TOWLINE_E2E_KUBECTL="+s.kubectl)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", pkg, err, out)
	}
	figures := map[string]float64{}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if figures[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				return nil, fmt.Errorf("%s: %q: %w", pkg, lines.Text(), err)
			}
		}
	}
	if len(figures) == 0 {
		return nil, fmt.Errorf("%s has no benchmark %s\n%s", pkg, pattern, out)
	}
	return figures, nil
}
