package ledger_test

import (
	"fmt"
	"testing"

	"github.com/towline/towline/pkg/ledger"
)

func TestTheAuditStreamKeepsTheNewest(t *testing.T) {
	b := open(t)
	const batch = 1000
	for n := range ledger.MaxAudit/batch + 2 {
		records := make([][]byte, batch)
		for i := range records {
			records[i] = fmt.Appendf(nil, `{"n":%d}`, n*batch+i)
		}
		b.must(b.AppendAudit(ctx(t), records))
	}
	got, err := b.Audit(ctx(t), 2)
	b.must(err)
	last := ledger.MaxAudit + 2*batch - 1
	if len(got) != 2 || string(got[0]) != fmt.Sprintf(`{"n":%d}`, last) || string(got[1]) != fmt.Sprintf(`{"n":%d}`, last-1) {
		t.Errorf("the newest: %s", got)
	}
	n, err := b.rdb.XLen(ctx(t), b.key("audit")).Result()
	b.must(err)
	if n > ledger.MaxAudit+batch {
		t.Errorf("%d records are kept", n)
	}
	if ttl := b.keys()["audit"]; ttl <= 0 || ttl > ledger.AuditTTL {
		t.Errorf("kept for %s", ttl)
	}
}
