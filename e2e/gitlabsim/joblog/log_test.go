package joblog

import (
	"strings"
	"testing"
	"time"
)

// esc turns the notation of the protocol sheet into bytes.
func esc(text string) []byte {
	return []byte(strings.NewReplacer("ESC", "\x1b", "^M", "\r").Replace(text))
}

// sample is the shell job of the protocol sheet, section 16, with the elided
// times and section starts written out.
var sample = esc(`ESC[0KRunning with gitlab-runner development version (HEAD)ESC[0;m
ESC[0K  on towline-test glrt-t1_ESC[0;m
section_start:1795363554:prepare_executor^MESC[0KESC[0KESC[36;1mPreparing the "shell" executorESC[0;mESC[0;m
ESC[0KUsing Shell executor...ESC[0;m
section_end:1795363554:prepare_executor^MESC[0Ksection_start:1795363554:prepare_script^MESC[0KESC[0KESC[36;1mPreparing environmentESC[0;mESC[0;m
Running on vm...
section_end:1795363555:prepare_script^MESC[0Ksection_start:1795363555:get_sources^MESC[0KESC[0KESC[36;1mGetting source from Git repositoryESC[0;mESC[0;m
ESC[32;1mSkipping Git repository setupESC[0;m
section_end:1795363555:get_sources^MESC[0Ksection_start:1795363555:step_script^MESC[0KESC[0KESC[36;1mExecuting "step_script" stage of the job scriptESC[0;mESC[0;m
ESC[32;1m$ echo $SECRETESC[0;m
[MASKED]
section_end:1795363557:step_script^MESC[0Ksection_start:1795363557:after_script^MESC[0KESC[0KESC[36;1mRunning after_scriptESC[0;mESC[0;m
ESC[32;1mRunning after script...ESC[0;m
section_end:1795363557:after_script^MESC[0Ksection_start:1795363557:cleanup_file_variables^MESC[0KESC[0KESC[36;1mCleaning up project directory and file based variablesESC[0;mESC[0;m
section_end:1795363557:cleanup_file_variables^MESC[0KESC[32;1mJob succeededESC[0;m
`)

func TestSampleOfTheSheet(t *testing.T) {
	l := Parse(sample)
	if len(l.Errors) != 0 || len(l.Sections) != 6 || l.Timestamps {
		t.Fatalf("errors %v, %d sections", l.Errors, len(l.Sections))
	}
	s := l.Find("step_script")
	if s.Header != `Executing "step_script" stage of the job script` || s.Duration != 2*time.Second || !s.Closed {
		t.Errorf("section = %+v", s)
	}
	if got := strings.Join(s.Lines, "|"); got != "$ echo $SECRET|[MASKED]" {
		t.Errorf("lines = %q", got)
	}
	want := `Running with gitlab-runner development version (HEAD)
  on towline-test glrt-t1_
Preparing the "shell" executor
Using Shell executor...
Preparing environment
Running on vm...
Getting source from Git repository
Skipping Git repository setup
Executing "step_script" stage of the job script
$ echo $SECRET
[MASKED]
Running after_script
Running after script...
Cleaning up project directory and file based variables
Job succeeded
`
	if got := Text(sample, false); got != want {
		t.Errorf("text = %s", got)
	}
	if got := Text(sample, true); !strings.Contains(got, "\x1b[32;1mJob succeeded\x1b[0;m\n") || strings.Contains(got, "\x1b[0K") {
		t.Errorf("text with colours = %q", got)
	}
}

// The timestamped sample of section 16.1.
func TestTimestampedSample(t *testing.T) {
	raw := esc(`2026-11-22T16:11:50.558353Z 00O section_start:1700000000:step_script^MESC[0K
2026-11-22T16:11:50.558353Z 00O+ESC[0KESC[36;1mExecuting "step_script" stage of the job scriptESC[0;mESC[0;m
2026-11-22T16:11:50.558364Z 01O ESC[32;1m$ echo helloESC[0;m
2026-11-22T16:11:50.558368Z 01O progress 10%^M
2026-11-22T16:11:50.558369Z 01O+progress 20%^M
2026-11-22T16:11:50.558397Z 01E err no newline
2026-11-22T16:11:50.558398Z 00O section_end:1700000001:step_script^MESC[0K
2026-11-22T16:11:50.558398Z 00O+ESC[32;1mJob succeededESC[0;m
`)
	l := Parse(raw)
	if len(l.Errors) != 0 || !l.Timestamps {
		t.Fatalf("errors %v", l.Errors)
	}
	s := l.Find("step_script")
	if got := strings.Join(s.Lines, "|"); got != "$ echo hello|progress 20%|err no newline" || s.Duration != time.Second {
		t.Errorf("lines = %q, %s", got, s.Duration)
	}
	last := l.Lines[len(l.Lines)-1]
	if last.Text != "Job succeeded" || last.Stream != "00O" || last.At.Nanosecond() != 558398000 || last.Section != "" {
		t.Errorf("last = %+v", last)
	}
}

func TestCarriageReturns(t *testing.T) {
	for in, want := range map[string]string{
		"10%\r20%\r30%\n":          "30%\n",
		"done\r\nnext\r\n":         "done\nnext\n",
		"text\r\n":                 "text\n",
		"text\r":                   "text\n",
		"secret\r\x1b[Kpublic\n":   "public\n",
		"gone\r\x1b[2K\n":          "\n",
		"a\r\x1b[0m\n":             "a\n",
		"\x1b[31mred\x1b[0m \x1b7": "red 7\n",
		"no newline":               "no newline\n",
		"":                         "",
	} {
		if in == "\x1b[31mred\x1b[0m \x1b7" {
			want = "red \x1b7\n" // not an escape the page knows
		}
		if got := Text([]byte(in), false); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestSectionsNestAndCollapse(t *testing.T) {
	l := Parse(esc("section_start:1:outer^MESC[0KOuter\nsection_start:2:inner[collapsed=true,hide_duration=true]^MESC[0KInner\nline\n" +
		"section_end:5:inner^MESC[0Ksection_end:9:outer^MESC[0Kend\n"))
	if len(l.Errors) != 0 {
		t.Fatal(l.Errors)
	}
	outer, inner := l.Find("outer"), l.Find("inner")
	if len(outer.Sections) != 1 || outer.Duration != 8*time.Second || !inner.Collapsed || !inner.HideDuration || inner.Lines[0] != "line" {
		t.Errorf("outer %+v, inner %+v", outer, inner)
	}
	if l.Lines[2].Section != "outer/inner" || l.Lines[3].Text != "end" {
		t.Errorf("lines = %+v", l.Lines)
	}
}

func TestMalformedSections(t *testing.T) {
	for in, want := range map[string]string{
		"section_start:1:a^MESC[0KA\n": `section "a" is never closed`,
		"section_end:1:a^MESC[0K\n":    `section "a" is closed but not open`,
		"section_start:1:a^MESC[0KA\nsection_start:1:b^MESC[0KB\nsection_end:1:a^MESC[0K\n": `closed before "b"`,
		"section_start:1:a^MESC[0KA\nsection_start:1:a^MESC[0KA\n":                          "opened inside itself",
		"section_start:5:a^MESC[0KA\nsection_end:1:a^MESC[0K\n":                             "ends before it starts",
		"section_start:1:a b^MESC[0KA\n":                                                    "malformed section marker",
		"section_start:1:a^MA\n":                                                            "malformed section marker",
		"section_start:1:a[colour=red]^MESC[0KA\nsection_end:1:a^MESC[0K\n":                 "unknown option",
		"section_start:1:a^MESC[0Ksection_end:1:a^MESC[0K\n":                                "has no header",
		"2026-11-22T16:11:50.558353Z 00O a\nplain\n":                                        "line without timestamp",
		"plain\n2026-11-22T16:11:50.558353Z 00O a\n":                                        "timestamp in a log that began without",
		"2026-11-22T16:11:50.558353Z 00E a\n":                                               "no error stream",
		"2026-11-22T16:11:50.558353Z 02O a\n":                                               "no stream has the number 02",
		"2026-11-22T16:11:50.558353Z 01O a\n2026-11-22T16:11:49.558353Z 01O b\n":            "goes backwards",
		"2026-11-22T16:11:50.558353Z 01O a\n2026-11-22T16:11:50.558353Z 00O+b\n":            "continuation of a stream",
	} {
		if l := Parse(esc(in)); !strings.Contains(strings.Join(l.Errors, "\n"), want) {
			t.Errorf("%q: errors %q, want %q", in, l.Errors, want)
		}
	}
	if l := Parse(esc("$ echo \"section_start:`date +%s`:x\"\n")); len(l.Errors) != 0 {
		t.Errorf("a quoted marker is an error: %v", l.Errors)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add([]byte("2026-11-22T16:11:50.558353Z 00O+x\r\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) { Parse(raw) })
}
