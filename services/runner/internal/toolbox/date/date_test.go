package date

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towline/towline/services/runner/internal/toolbox/tool"
)

type result struct {
	Code        int
	Out, Errors string
}

func here(t *testing.T, dir, zone string, args []string) result {
	t.Helper()
	var out, errs strings.Builder
	code := Run(t.Context(), tool.Invocation{
		Name: "date", Args: args, Dir: dir, Environ: []string{"TZ=" + zone},
		Stdin: strings.NewReader("2024-02-03\nnonsense\n"), Stdout: &out, Stderr: &errs,
	})
	return result{code, out.String(), errs.String()}
}

func gnu(t *testing.T, dir, zone string, args []string) result {
	t.Helper()
	cmd := exec.Command("date", args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, []string{"LC_ALL=C", "TZ=" + zone}, strings.NewReader("2024-02-03\nnonsense\n"), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("this test compares with GNU's date: %v; on Debian or Ubuntu: apt-get install coreutils tzdata", err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// descriptions are understood as GNU's date understands them.
var descriptions = []string{
	"yesterday", "tomorrow", "today", "now", "", "2 days ago", "2 day ago", "+1 day", "-1 day", "1 day", "now + 1 hour", "now - 90 minutes",
	"next month", "last month", "1 month ago", "next year", "last week", "next week", "fortnight ago", "day", "week", "hour ago",
	"2024-01-01 + 3 days", "2024-01-31 + 1 month", "2024-01-01 12:00 + 3 days", "2024-01-01 12:00 3 days", "2024-01-01 -1 day", "2024-01-01 - 1 day",
	"2024-02-30", "2024-02-29", "2023-02-29", "2024-13-01", "24-05-06", "2024/05/06", "5/6/2024", "5/6", "20240506", "20240506 0730",
	"@0", "@1700000000", "@1700000000.25", "@-1", "2024-01-01T12:34:56Z", "2024-01-01T12:34:56+02:00", "2024-01-01t12:34:56.789", "2024-01-01 12:34:56,5",
	"2024-01-01 12:34 +0530", "2024-01-01 12:34 UTC", "2024-01-01 12:34 UTC+2", "2024-01-01 12:34 UTC +1 day", "2024-01-01 12:34 EST", "12:34 CET 2024-07-01",
	"Jan 1 2024", "Jan 1, 2024", "1 Jan 2024", "1 January 2024 10pm", "1-jan-2024", "31 dec 2024 23:59:60", "Jan 31", "31 Jan",
	"Mon, 01 Jan 2024 12:00:00 +0000", "Mon Jan  1 12:00:00 UTC 2024", "Jan  1 00:00:00 2025 GMT", "Sept 5 2024",
	"monday", "next monday", "last friday", "friday", "this sunday", "2 friday", "third friday", "tues", "saturday 10:00", "next fri 3pm",
	"10:00", "10:00pm", "10am", "12am", "12pm", "13pm", "25:00", "10:60", "10", "1030", "10:00 tomorrow", "tomorrow 10:00", "10:00 yesterday",
	"1 hour 30 minutes ago", "2 weeks 3 days", "1hour", "2days ago", "1.5 seconds", "1.5 hours", "-30 seconds", "2024-01-01 00:00:00 2 hours ago",
	"nonsense", "2024-01-01 2024-01-02", "10:00 11:00", "12/", "31 31", "1 fortnight", "next day", "last day", "yesterday 00:00", "00:00 today + 2 weeks",
	"2024-03-31 01:00 UTC + 1 hour", "19700101", "1999-12-31 23:59:59 1 second",
}

func TestDescriptionsAreReadAsByGNU(t *testing.T) {
	for _, zone := range []string{"UTC", "America/New_York"} {
		for _, text := range descriptions {
			args := []string{"-d", text, "+%Y-%m-%d %H:%M %z %N"}
			if !strings.Contains(text, "1.5 sec") && !strings.Contains(text, "@") {
				args[2] = "+%Y-%m-%d %H:%M %z"
			} else if !strings.Contains(text, "@") {
				args[2] = "+%F"
			}
			got, want := here(t, "", zone, args), gnu(t, "", zone, args)
			if got != want { // a minute may have begun in between
				got, want = here(t, "", zone, args), gnu(t, "", zone, args)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s in %s (-GNU +here)\n%s", text, zone, diff)
			}
		}
	}
}

func TestCommandLinesDoAsGNU(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("2024-01-01\n@7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1700000000, 123456789)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
	const letters = "aAbBcCdDeFgGhHIjklmMnNpPqrRsStTuUVwWxXyYzZ%"
	var all strings.Builder
	for _, c := range letters {
		all.WriteString(string(c) + "[%" + string(c) + "] [%-" + string(c) + "] [%_" + string(c) + "] [%0" + string(c) + "] [%^" + string(c) + "] [%#" + string(c) + "]\n")
	}
	lines := [][]string{
		{"-r", "f", "+" + strings.ReplaceAll(strings.ReplaceAll(all.String(), "%-N", ""), "%_N", "")},
		{"-r", "f", "+%3N %6N %9N %12N %s%3N %:z %::z %:::z %10Y|%5d|%_5d|%-5d|%10a|%010a|%Ey|%Od|%Q|%!|%:d|%"},
		{"-u", "-r", "f"},
		{"-I", "-r", "f"},
		{"-Iseconds", "-r", "f"},
		{"-Ins", "-ur", "f"},
		{"--iso-8601=minutes", "-r", "f"},
		{"-Ihours", "-r", "f"},
		{"-R", "-r", "f"},
		{"--rfc-3339=seconds", "-r", "f"},
		{"--rfc-3339=ns", "-r", "f"},
		{"--rfc-3339=date", "-r", "f"},
		{"--rfc-email", "--reference=f"},
		{"-f", "f", "+%F"},
		{"-f", "-", "+%F"},
		{"--file=missing"},
		{"-r", "missing"},
		{"-d", "@5", "-u", "+%s"},
		{"--date=@5", "--utc"},
		{"-d", "@5", "x"},
		{"+%F", "x"},
		{"-d", "@5", "-r", "f"},
		{"-I", "-R"},
		{"--nope"},
		{"-y"},
		{"-d"},
		{"--date"},
		{"-u", "-d", "2024-12-30", "+%G-%V %U %W %u %w %j %q"},
		{"-u", "-d", "2021-01-03", "+%G-%V %U %W %u %w %j %g"},
		{"-d", "2024-07-01 12:00", "+%Z %z"},
		{"-d", "2024-01-01 12:00", "+%Z %z"},
		{"-d", "9999-01-01", "+%F %C %y"},
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "XYZ-3", "EST5", "Asia/Kolkata", "<+03>-3", "UTC0"} {
		for _, line := range lines {
			if diff := cmp.Diff(gnu(t, dir, zone, line), here(t, dir, zone, line)); diff != "" {
				t.Errorf("TZ=%s date %q (-GNU +here)\n%s", zone, line, diff)
			}
		}
	}
}

func TestWhatADateOfAJobCannotDo(t *testing.T) {
	for _, c := range []struct {
		line string
		want string
	}{
		{"-s 2024-01-01", "the clock cannot be set in a job"},
		{"010100002024", "would set the clock"},
		{"-D %s -d 5", "option of busybox"},
		{"-d " + strings.Repeat("1", 30), "invalid date"},
		{"-d " + strings.Repeat("a", 2000), "more than 1024 bytes"},
		{"-Ifoo", "invalid argument 'foo' for '--iso-8601'"},
	} {
		got := here(t, "", "UTC", strings.Fields(c.line))
		if got.Code != 1 || got.Out != "" || !strings.Contains(got.Errors, c.want) {
			t.Errorf("%.40s: %+v", c.line, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range descriptions {
		f.Add(text)
	}
	now := time.Unix(1700000000, 0).UTC()
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := Parse(text, now); err == nil && at.Location() != time.UTC {
			t.Errorf("%q: %v", text, at)
		}
	})
}
