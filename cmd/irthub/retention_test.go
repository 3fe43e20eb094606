package main

import (
	"strings"
	"testing"
	"time"
)

// What scripts rely on of irthub retention, beside a running hub; and that the access
// log is whole when the children it tells of are gone.
func TestRetentionCommand(t *testing.T) {
	t.Parallel()
	h := startAuditHub(t)
	born := time.Now().AddDate(-20, 0, 2).Format(time.DateOnly)
	if status, answer := h.call(t, "PUT", "/v1/agencies/school-1/childRecords/1", h.token,
		`{"givenName":"Zebedee","familyName":"Osei","dateOfBirth":"`+born+`"}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	run := func(want string, args ...string) {
		t.Helper()
		out, errs, status := output(t, h.env, append([]string{"retention", "run"}, args...)...)
		if status != 0 || strings.TrimSpace(out) != want {
			t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
		}
	}
	run(`{"archived":0,"restored":0,"purged":0,"overdueShields":0}`, "--json")
	inAMonth, inSevenYears := time.Now().AddDate(0, 1, 0).Format(time.DateOnly), time.Now().AddDate(7, 0, 0).Format(time.DateOnly)
	run("As of "+inAMonth+" it would archive 1 children, put back into use 0, and purge 0.", "--dry-run", "--today", inAMonth)
	if _, errs, status := output(t, h.env, "retention", "run", "--today", inAMonth); status != exitUsage || !strings.Contains(errs, "--dry-run") {
		t.Errorf("a day to come for good: status %d, %q", status, errs)
	}
	run("As of "+inAMonth+": archived 1 children, put back into use 0, purged 0.", "--force", "--today", inAMonth)
	run(`{"archived":0,"restored":0,"purged":1,"overdueShields":0}`, "--force", "--today", inSevenYears, "--json")
	if n := countRows(t, h.pool, `SELECT count(*) FROM children`) + countRows(t, h.pool, `SELECT count(*) FROM child_records_history`); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	h.sequenced(t)
	out, errs, status := output(t, h.env, "audit", "verify")
	if status != 0 || !strings.HasPrefix(lastLine(out), "tree size 3 root ") {
		t.Errorf("the access log: status %d, %q, %q", status, out, errs)
	}
}
