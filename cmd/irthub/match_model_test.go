package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	irtv1 "irthub/gen/irt/v1"
)

const familiesMap = "givenName=first,familyName=last,dateOfBirth=born,sex=sex,address=home,postcode=code,telephone=phone"

// families is a file of six hundred families of two children, every twelfth of twins,
// as a school and a practice have them.
func families(t *testing.T) string {
	t.Helper()
	given := strings.Fields(`Jack Grace Oscar Maya Idris Nora Theo Alice Hugo Esme Ravi Lola Finn Ines Owen Ruby Caleb Daisy
		Ethan Freya Harun Iris Joel Kezia Leon Mabel Otto Pearl Silas Tessa`)
	draw := rand.New(rand.NewPCG(1, 2))
	day := func() string {
		return fmt.Sprintf("%d-%02d-%02d", 2005+draw.IntN(14), 1+draw.IntN(12), 1+draw.IntN(28))
	}
	rows := []string{"first,last,born,sex,home,code,phone"}
	for i := range 600 {
		last := fmt.Sprintf("%c%c%cson", 'A'+i%26, 'a'+i/26%20, 'a'+i/7%9)
		lives := fmt.Sprintf("%d %s Lane,NR%d %d%c%c", 1+i%90, last, 1+i%30, 1+i%9, 'A'+i%20, 'A'+i/30%20)
		names, born := draw.Perm(len(given))[:2], day()
		for child, name := range names {
			if child == 1 && i%12 != 0 {
				born = day()
			}
			row := strings.Join([]string{given[name], last, born, string("MF"[name%2]), lives, ""}, ",")
			rows = append(rows, row, row+fmt.Sprintf("07700%06d", 900000+i))
		}
	}
	return write(t, "families.csv", rows...)
}

// trained is a model of a file's records.
func trained(t *testing.T, file, mapping, version string) string {
	t.Helper()
	model := filepath.Join(t.TempDir(), version+".json")
	if _, errs, status := output(t, nil, "match", "train", file, "--map", mapping, "--out", model, "--model-version", version); status != 0 {
		t.Fatalf("train: status %d: %s", status, errs)
	}
	return model
}

// From a file to a hub that decides by what was learnt of it, and to all that was
// decided before by another.
func TestGivenMatchModel(t *testing.T) {
	t.Parallel()
	model, other := trained(t, families(t), familiesMap, "area-2026"), trained(t, families(t), familiesMap, "area-2027")
	h := hubWithTokens(t, "--match-model", model, "--metrics-addr", "127.0.0.1:0")
	const thornley = `"familyName":"Thornley","dateOfBirth":"2014-03-09","postcode":"NR1 3JU","addressLines":["12 Mill Lane"]`
	if one := h.send(t, "school", "1", `{"givenName":"Jack",`+thornley+`}`); h.send(t, "gp", "1", `{"givenName":"Jack",`+thornley+`}`) != one ||
		h.send(t, "gp", "2", `{"givenName":"Grace",`+thornley+`}`) == one {
		t.Error("Jack is two children, or his twin is he")
	}
	out, errs, status := output(t, h.as(t, "gp", irtv1.Role_ROLE_AGENCY_SYSTEM), "match", "explain", "agencies/gp/childRecords/1")
	if status != 0 || !strings.Contains(out, "By the model area-2026\n") {
		t.Errorf("explained: status %d, %s%s", status, out, errs)
	}
	again := func(wantStatus int, says string, args ...string) {
		t.Helper()
		out, errs, status := output(t, h.env, append([]string{"match", "rematch", "--json"}, args...)...)
		if status != wantStatus || !strings.Contains(out+errs, says) {
			t.Errorf("match rematch %v: status %d, no %q in %s%s", args, status, says, out, errs)
		}
	}
	again(0, `"model_version":"area-2026"`, "--dry-run")
	again(0, `"model_version":"area-2027"`, "--dry-run", "--match-model", other)
	again(1, `"area-2026", not "area-2027"`, "--match-model", other)
	again(0, `"model_version":"area-2026"`)

	h.goesBy(t, 1)
	second := serve(t, append(h.env, "IRTHUB_MATCH_MODEL="+other))
	h.goesBy(t, 2)
	again(1, "different models")
	if status := second.end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("the second hub ended with %d: %s", status, second.log)
	}
	again(0, `"model_version":"area-2026"`, "--dry-run")
}

// goesBy waits until the hub says that as many models are in use: it asks the database
// every few seconds.
func (h *tokens) goesBy(t *testing.T, models int) {
	t.Helper()
	want, got := fmt.Sprintf("\nirthub_match_models %d\n", models), ""
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(got, want); time.Sleep(200 * time.Millisecond) { //nolint:forbidigo // a wait with a deadline
		if time.Now().After(deadline) {
			_, after, _ := strings.Cut(got, "\nirthub_match_models ")
			t.Fatalf("%.10q models are in use, want %d", after, models)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+h.Metrics+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // only read
		if err != nil {
			t.Fatal(err)
		}
		got = string(b)
	}
}

// A hub does not start with what is no model for it, and says what is wrong with the
// file and what to do, before it makes a database.
func TestNoMatchModel(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(trained(t, families(t), familiesMap, "area-2026"))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text)
	huge := write(t, "huge.json", "{")
	if err := os.Truncate(huge, 1<<30); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	changed := func(old, now string) string {
		t.Helper()
		if !strings.Contains(whole, old) {
			t.Fatalf("the model has no %s", old)
		}
		return write(t, "model.json", strings.Replace(whole, old, now, 1))
	}
	for name, c := range map[string]struct{ file, says string }{
		"none":                 {filepath.Join(t.TempDir(), "none.json"), "no such file"},
		"a directory":          {t.TempDir(), "directory"},
		"a table":              {families(t), "no JSON"},
		"another schema":       {changed(`"schema": 1`, `"schema": 9`), "schema 9"},
		"without a schema":     {changed(`"schema": 1,`, ""), "no schema"},
		"absurd probabilities": {changed(`"link": 0.99`, `"link": 1.99`), "link < 1"},
		"links anything":       {changed(`"link": 0.99`, `"link": 0.4`), "0.9 or more"},
		"a gigabyte":           {huge, "larger than 16 MB"},
		"of six records":       {trained(t, family(t), familyMap, "six"), "6 records"},
	} {
		out, errs, status := output(t, nil, "serve", "--data", data, "--match-model", c.file)
		if status != exitFailed || out != "" || !strings.Contains(errs, "--match-model") || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, %q does not say %q", name, status, errs, c.says)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("it made a database")
	}
	if _, errs, status := output(t, nil, "match", "train", family(t), "--map", familyMap, "--out", filepath.Join(data, "x"), "--model-version", "hand-1"); status != exitUsage || !strings.Contains(errs, "built-in") {
		t.Errorf("a version like a built-in one: status %d, %s", status, errs)
	}
}
