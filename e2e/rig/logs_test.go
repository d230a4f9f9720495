package rig

import (
	"strings"
	"testing"
)

func TestLogsArePrintedShortly(t *testing.T) {
	request := func(code float64) Line { return Line{"msg": "kubernetes request", "level": "INFO", "code": code} }
	r := &Rig{Tunnel: &Service{Name: "tunnel", lines: []Line{
		{"time": "2026-11-28T17:39:57.911113404Z", "level": "INFO", "msg": "sync ended", "service": "tunnel", "state": "success", "name": ""},
		request(201), request(403),
	}}}
	var b strings.Builder
	r.PrintLogs(&b)
	const want = "tunnel: 17:39:57.911 INFO sync ended state=\"success\"\ntunnel:  INFO kubernetes request code=\"403\"\n"
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}
