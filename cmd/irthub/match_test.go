package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"irthub/internal/pg/pgtest"
)

const familyMap = "givenName=first,familyName=last,dateOfBirth=born,address=home,telephone=phone"

// family is a file of three children, two of them twins, one with a header to
// trim and dates as English schools write them.
func family(t *testing.T) string {
	t.Helper()
	return write(
		t, "family.csv", "id, first ,last,born,home,phone",
		"a,Jack,Thornley,9/3/2014,12 Mill Lane,07700900123",
		"a,Jack,Thornley,9/3/2014,12 Mill Ln,07700900123",
		"b,Grace,Thornley,9/3/2014,12 Mill Lane,07700900123",
		"b,GRACE,Thornley,9/3/2014,12 Mill Lane,",
		"c,Oluwaseun,Adeyemi,21/11/2011,4 Sea View,07700900456",
		"c,Oluwaseun,Adeyemi,21/11/2011,4 Sea View,07700900456",
	)
}

// object reads the last line of what a command printed.
func object(t *testing.T, printed string) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	var o map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &o); err != nil {
		t.Fatalf("the last line is no JSON object: %v\n%s", err, printed)
	}
	return o
}

// TestMatchEvaluate is what scripts rely on.
func TestMatchEvaluate(t *testing.T) {
	t.Parallel()
	file := family(t)
	for _, mode := range []string{"online", "batch"} {
		errors := filepath.Join(t.TempDir(), "errors.csv")
		out, errs, status := output(t, nil, "match", "evaluate", file, "--truth", "id", "--map", familyMap,
			"--mode", mode, "--seed", "7", "--auto-link-only", "--json", "--errors", errors)
		if status != 0 {
			t.Fatalf("%s: status %d: %s", mode, status, errs)
		}
		o := object(t, out)
		for _, key := range []string{"pairwise", "b3", "review_share", "reviews", "false_links_by_class", "records_per_second", "thresholds", "links_counted"} {
			if o[key] == nil {
				t.Errorf("%s: no %s in %v", mode, key, o)
			}
		}
		if o["records"] != 6.0 || o["true_pairs"] != 3.0 || o["mode"] != mode || o["seed"] != 7.0 || o["auto_link_only"] != true {
			t.Errorf("%s: %v", mode, o)
		}
		if p, _ := o["pairwise"].(map[string]any); p["precision"] != 1.0 || p["recall"] == nil || p["f1"] == nil {
			t.Errorf("%s: twins were linked: %v", mode, p)
		}
		if rows := readCSV(t, errors); rows[0][0] != "error" {
			t.Errorf("errors start with %v", rows[0])
		}
	}
}

// A mapping may be given in parts, and the file on standard input.
func TestMatchEvaluateParts(t *testing.T) {
	t.Parallel()
	file := family(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"match", "evaluate", "-", "--truth", "id", "--json"}
	for part := range strings.SplitSeq(familyMap, ",") {
		args = append(args, "--map", part)
	}
	c := irthub(t, nil, args...)
	c.Stdin = bytes.NewReader(text)
	parts, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	whole, errs, _ := output(t, nil, "match", "evaluate", file, "--truth", "id", "--json", "--map", familyMap)
	a, b := object(t, string(parts)), object(t, whole)
	for _, key := range []string{"records", "clusters", "family_pairs_by_class", "candidates_per_record"} {
		if !reflect.DeepEqual(a[key], b[key]) || b[key] == nil {
			t.Errorf("%s: %v in parts, %v whole %s", key, a[key], b[key], errs)
		}
	}
}

func TestMatchTrainExplain(t *testing.T) {
	t.Parallel()
	file, dir := family(t), t.TempDir()
	model, svg := filepath.Join(dir, "model.json"), filepath.Join(dir, "why.svg")
	if _, errs, status := output(t, nil, "match", "train", file, "--map", familyMap, "--out", model, "--model-version", "of a test"); status != 0 {
		t.Fatalf("train: status %d: %s", status, errs)
	}
	out, errs, status := output(t, nil, "match", "evaluate", file, "--truth", "id", "--map", familyMap, "--model", model)
	if status != 0 || object(t, out)["model"] != "of a test" {
		t.Errorf("evaluate: status %d: %s%s", status, out, errs)
	}
	out, errs, status = output(t, nil, "match", "explain", file, "2", "3", "--map", familyMap, "--model", model, "--svg", svg)
	if status != 0 || !strings.Contains(out, "given name: same") || strings.Contains(out, "Jack") {
		t.Errorf("explain: status %d: %s%s", status, out, errs)
	}
	if drawn, err := os.ReadFile(svg); err != nil || !strings.HasPrefix(string(drawn), "<svg") {
		t.Errorf("%v: %s", err, drawn)
	}
	if out, errs, status = output(t, nil, "match", "histogram", file, "--map", familyMap); status != 0 || !strings.Contains(out, "LINK") {
		t.Errorf("histogram: status %d: %s%s", status, out, errs)
	}
}

func TestMatchCommandLine(t *testing.T) {
	t.Parallel()
	file := family(t)
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no such field":    {[]string{"evaluate", file, "--truth", "id", "--map", "shoeSize=first"}, exitUsage, "fields are givenName"},
		"no such column":   {[]string{"evaluate", file, "--truth", "id", "--map", "givenName=name"}, exitFailed, "it has id, first"},
		"pattern no group": {[]string{"evaluate", file, "--truth", "id", "--truth-pattern", "a", "--map", familyMap}, exitUsage, "one group"},
		"no such line":     {[]string{"explain", file, "1", "2", "--map", familyMap}, exitUsage, "line 1"},
	} {
		_, errs, status := output(t, nil, append([]string{"match"}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, want %d; %q does not say %q", name, status, c.status, errs, c.says)
		}
	}
}

// A hub's index is matched again on its database, beside it or without it.
func TestMatchRematch(t *testing.T) {
	t.Parallel()
	env := []string{databaseURLVariable + "=" + pgtest.New(t).Config().ConnString()}
	data := pgtest.DataDir(t)
	for _, args := range [][]string{{"--dry-run"}, {}, {"--restart", "--batch", "7"}} {
		out, errs, status := output(t, env, append([]string{"match", "rematch", "--json", "--data", data}, args...)...)
		if status != 0 {
			t.Fatalf("%v: status %d: %s", args, status, errs)
		}
		if o := object(t, out); o["finished"] != true || o["records"] != 0.0 || o["dry_run"] != (len(args) == 1) {
			t.Errorf("%v: %v", args, o)
		}
	}
	if _, _, status := output(t, env, "match", "rematch", "--batch", "0", "--data", data); status != 2 {
		t.Errorf("--batch 0: status %d", status)
	}
}
