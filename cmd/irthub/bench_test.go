package main

import (
	"strings"
	"testing"
)

// TestBenchRefusesFlagsAtOnce: what bench does with good ones, package bench tests.
func TestBenchRefusesFlagsAtOnce(t *testing.T) {
	t.Parallel()
	for words, args := range map[string][]string{
		"get_vs_pgx":           {"--only", "speed"},
		"number of children":   {"--children", "1"},
		"concurrency":          {"--concurrency", "-3"},
		"1000000 rows":         {"--import-rows", "2000000"},
		"duration":             {"--duration", "100h"},
		"must be one of":       {"quickly"},
		"irthub: --children":   {"--children", "many"},
		"irthub: --dir: ":      {"--dir", "/does/not/exist"},
		"irthub: unknown flag": {"--addr", "127.0.0.1:8443"},
	} {
		out, errs, status := output(t, nil, append([]string{"bench"}, args...)...)
		if status != exitUsage || out != "" || !strings.Contains(errs, words) {
			t.Errorf("irthub bench %v: status %d, %q", args, status, errs)
		}
	}
}
