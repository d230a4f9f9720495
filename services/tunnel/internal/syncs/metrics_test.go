package syncs

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/towline/towline/pkg/syncspec"
)

func TestFiguresOfAnEntry(t *testing.T) {
	const figures = `
# HELP towline_sync_drifted_objects_total Objects that were not as the last sync had left them.
# TYPE towline_sync_drifted_objects_total counter
towline_sync_drifted_objects_total{entry="shop"} 2
# HELP towline_sync_last_seconds Duration of an entry's last sync.
# TYPE towline_sync_last_seconds gauge
towline_sync_last_seconds{entry="shop"} 1.5
# HELP towline_sync_last_success_timestamp_seconds When an entry was last synced successfully.
# TYPE towline_sync_last_success_timestamp_seconds gauge
towline_sync_last_success_timestamp_seconds{entry="shop"} 1.7e+09
# HELP towline_sync_objects Objects of an entry at its last sync.
# TYPE towline_sync_objects gauge
towline_sync_objects{entry="shop"} 3
# HELP towline_sync_results_total Syncs that ended, by entry and state (success, failed, lost).
# TYPE towline_sync_results_total counter
towline_sync_results_total{entry="shop",state="failed"} 1
towline_sync_results_total{entry="shop",state="success"} 1
`
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	good := syncspec.Report{State: syncspec.Succeeded, Entry: "shop", Objects: 3, Drifted: 2, Millis: 1500, Ended: 1_700_000_000}
	m.ended(good, false)
	m.ended(good, true) // told again by the next tunnel
	m.ended(syncspec.Report{State: syncspec.Failed, Entry: "shop"}, false)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(figures)); err != nil {
		t.Error(err)
	}
	m.forget("shop")
	if n, err := testutil.GatherAndCount(reg); n != 0 || err != nil {
		t.Errorf("%d figures are left, %v", n, err)
	}
}
