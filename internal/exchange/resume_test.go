package exchange_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange"
)

// breakOff sends the beginning of a file and goes away once so many records are
// stored; it returns the import when the hub has noticed.
func (h *hub) breakOff(header *irtv1.ImportHeader, beginning []byte, records int) *irtv1.Import {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.ctx())
	defer cancel()
	stream, err := h.imports.CreateImport(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: header}})
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: beginning}})
	md, err := stream.Header()
	if err != nil {
		h.t.Fatal(err)
	}
	name := md.Get("irt-import")[0]
	for end := time.Now().Add(30 * time.Second); h.count(`SELECT (SELECT count(*) FROM child_records) + (SELECT count(*) FROM concerns)`) < records; {
		if time.Now().After(end) {
			h.t.Fatalf("not %d records in half a minute: %v", records, h.get(name))
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // polls another process
	}
	cancel()
	for {
		if i := h.get(name); i.GetState() != irtv1.ImportState_IMPORT_STATE_RUNNING {
			return i
		}
	}
}

func (h *hub) get(name string) *irtv1.Import {
	h.t.Helper()
	i, err := h.imports.GetImport(h.ctx(), &irtv1.GetImportRequest{Name: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return i
}

// An import that was broken off goes on from its last acknowledged row with the
// same file, and only with that; a second row of a child it has passed over is
// still known for one.
func TestFaultInterruptedImportGoesOn(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	lines := []string{header}
	for i := range 3000 {
		lines = append(lines, manyChildren(i))
	}
	lines[5] = "Bad,,2010-01-01,SW1A 1AA,"
	lines = append(lines, strings.Replace(manyChildren(1), "NR", "CB", 1)) // says something else of the second child
	whole := file(lines...)
	broken := h.breakOff(h.header(cohort), file(lines[:2500]...), 500)
	if broken.GetState() != irtv1.ImportState_IMPORT_STATE_INTERRUPTED {
		t.Fatalf("broken off: %v", broken)
	}
	resumed := h.header(cohort)
	resumed.Import = broken.GetName()

	_, err := h.upload(resumed, file(append([]string{lines[0], manyChildren(9999)}, lines[2:]...)...))
	if rules := brokenRules(err); len(rules) != 1 || rules[0] != "IMPORT_OTHER_FILE" {
		t.Errorf("another file: %v", err)
	}
	other := h.header(irtv1.ImportFormat_IMPORT_FORMAT_CHILD_RECORDS)
	other.Import = broken.GetName()
	_, err = h.upload(other, whole)
	wantCode(t, "another format", err, codes.FailedPrecondition)
	_, err = h.as("other", "ROLE_AGENCY_SYSTEM").upload(&irtv1.ImportHeader{
		Parent: "agencies/other", Format: cohort, Import: broken.GetName(),
	}, whole)
	wantCode(t, "another agency's", err, codes.NotFound)

	done, err := h.upload(resumed, whole)
	if err != nil {
		t.Fatal(err)
	}
	if done.GetName() != broken.GetName() || done.GetState() != irtv1.ImportState_IMPORT_STATE_SUCCEEDED ||
		done.GetRows() != 3001 || done.GetAccepted()+done.GetUnchanged() != 2999 || done.GetRejected() != 2 ||
		done.GetAccepted() < broken.GetAccepted() || done.GetAcknowledgedRow() != 3002 {
		t.Errorf("gone on with: %v, after %v", done, broken)
	}
	var rules []string
	for _, r := range h.rejects(done.GetName()) {
		rules = append(rules, fmt.Sprint(r.GetRow(), " ", r.GetRuleId()))
	}
	if got := strings.Join(rules, ", "); got != "6 STRING_MIN_LEN, 3002 IMPORT_DUPLICATE_ROW" {
		t.Errorf("rejects %s", got)
	}
	if n := h.count(`SELECT count(*) FROM child_records`); n != 2999 {
		t.Errorf("%d records", n)
	}
	again, err := h.upload(resumed, whole)
	if err != nil || again.GetRows() != 3001 {
		t.Errorf("an import that has succeeded, asked for once more: %v, %v", again, err)
	}
}

// An import whose hub is gone is interrupted, and is taken up by another; the
// first, should it still live, stores nothing more.
func TestFaultImportOfAHubThatIsGone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	lines := []string{header, manyChildren(1), manyChildren(2)}
	ctx, cancel := context.WithCancel(h.ctx())
	defer cancel()
	stream, err := h.imports.CreateImport(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: h.header(cohort)}})
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: file(lines[:2]...)}})
	md, err := stream.Header()
	if err != nil {
		t.Fatal(err)
	}
	resumed := h.header(cohort)
	resumed.Import = md.Get("irt-import")[0]
	_, err = h.upload(resumed, file(lines...))
	wantCode(t, "while it runs", err, codes.Aborted)

	if _, err := h.pool.Exec(t.Context(), `UPDATE imports SET lease_until = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if i := h.get(resumed.GetImport()); i.GetState() != irtv1.ImportState_IMPORT_STATE_INTERRUPTED {
		t.Errorf("an import whose lease is over is %v", i.GetState())
	}
	done, err := h.upload(resumed, file(lines...))
	if err != nil || done.GetState() != irtv1.ImportState_IMPORT_STATE_SUCCEEDED || done.GetRows() != 2 {
		t.Fatalf("taken up: %v, %v", done, err)
	}
	_ = stream.CloseSend()
	err = stream.RecvMsg(&irtv1.Import{})
	wantCode(t, "the first run", err, codes.Aborted)
	if i := h.get(resumed.GetImport()); i.GetRows() != 2 || i.GetState() != irtv1.ImportState_IMPORT_STATE_SUCCEEDED {
		t.Errorf("the first run has changed it to %v", i)
	}
}

// A file over its bound has failed, and what was acknowledged by then stays.
func TestFileOverItsBound(t *testing.T) {
	t.Parallel()
	h := newHubWith(t, exchange.Options{MaxFile: 100_000})
	lines := []string{header}
	for i := range 5000 {
		lines = append(lines, manyChildren(i))
	}
	_, err := h.upload(h.header(cohort), file(lines...))
	wantCode(t, "a file over its bound", err, codes.ResourceExhausted)
	list, err := h.imports.ListImports(h.ctx(), &irtv1.ListImportsRequest{Parent: "agencies/-"})
	if err != nil || len(list.GetImports()) != 1 {
		t.Fatalf("listed: %v, %v", list, err)
	}
	if i := list.GetImports()[0]; i.GetState() != irtv1.ImportState_IMPORT_STATE_FAILED ||
		!strings.HasPrefix(i.GetFailure(), "The file has more than 1 GiB.") || i.GetAccepted() == 0 || i.GetAccepted() != i.GetAcknowledgedRow()-1 {
		t.Errorf("it is %v", i)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	lines := []string{header}
	for i := range 4000 {
		lines = append(lines, manyChildren(i)) // more than is read ahead
	}
	broken := h.breakOff(h.header(cohort), file(lines...), 1)
	cancel := func(name string) *irtv1.Import {
		t.Helper()
		i, err := h.imports.CancelImport(h.ctx(), &irtv1.CancelImportRequest{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	if i := cancel(broken.GetName()); i.GetState() != irtv1.ImportState_IMPORT_STATE_CANCELLED {
		t.Errorf("an interrupted import: %v", i)
	}
	resumed := h.header(cohort)
	resumed.Import = broken.GetName()
	_, err := h.upload(resumed, file(header, manyChildren(1)))
	wantCode(t, "a cancelled import", err, codes.FailedPrecondition)
	done := h.send(cohort, file(header, manyChildren(1)))
	if i := cancel(done.GetName()); i.GetState() != irtv1.ImportState_IMPORT_STATE_SUCCEEDED {
		t.Errorf("one that has ended: %v", i)
	}
	_, err = h.as("other", "ROLE_AGENCY_SYSTEM").imports.CancelImport(
		h.as("other", "ROLE_AGENCY_SYSTEM").ctx(), &irtv1.CancelImportRequest{Name: done.GetName()})
	wantCode(t, "another agency", err, codes.PermissionDenied)

	// One that runs, while its sender says nothing.
	stream, err := h.imports.CreateImport(h.ctx())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: h.header(cohort)}})
	md, err := stream.Header()
	if err != nil {
		t.Fatal(err)
	}
	cancel(md.Get("irt-import")[0])
	err = stream.RecvMsg(&irtv1.Import{})
	wantCode(t, "a running import", err, codes.Aborted)
	if i := h.get(md.Get("irt-import")[0]); i.GetState() != irtv1.ImportState_IMPORT_STATE_CANCELLED {
		t.Errorf("a running import: %v", i)
	}
	list, err := h.imports.ListImports(h.ctx(), &irtv1.ListImportsRequest{Parent: "agencies/-", PageSize: 2})
	if err != nil || len(list.GetImports()) != 2 || list.GetNextPageToken() == "" || list.GetImports()[0].GetName() != md.Get("irt-import")[0] {
		t.Errorf("listed: %v, %v", list, err)
	}
}

// download gives the rejects of an import as a file.
func (h *hub) download(name string) (string, error) {
	h.t.Helper()
	stream, err := h.imports.DownloadImportRejects(h.purpose(), &irtv1.DownloadImportRejectsRequest{Parent: name})
	if err != nil {
		h.t.Fatal(err)
	}
	var b strings.Builder
	for {
		part, err := stream.Recv()
		if err == io.EOF { //nolint:errorlint // as gRPC gives it
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		b.Write(part.GetChunk())
	}
}

func TestRejectsWithTheirRows(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	done := h.send(cohort, file(header, `"Jo, Ann",,2010-01-01,SW1A 1AA,`, `a"b,c`, "Amy,Reed,2012-05-06,NR1 3JU,"))
	got, err := h.download(done.GetName())
	want := "row,column,rule,description,action,original," + header + "\n" +
		`2,CHILD_LAST_NAME,STRING_MIN_LEN,The value is missing.,Send it: nothing can be done without it.,,"Jo, Ann",,2010-01-01,SW1A 1AA,` + "\n"
	if err != nil || !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `,"a""b,c",,,,,`+"\n") {
		t.Errorf("got\n%s, error %v; want\n%s", got, err, want)
	}
	for _, other := range []*hub{h.as("other", "ROLE_AGENCY_SYSTEM"), h.as("hub", "ROLE_DATA_MANAGER")} {
		_, err := other.download(done.GetName())
		wantCode(t, other.caller, err, codes.PermissionDenied)
	}
	if _, err := h.pool.Exec(t.Context(), `UPDATE imports SET kept_until = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if got, err = h.download(done.GetName()); err != nil || strings.Contains(got, "Ann") || !strings.Contains(got, "STRING_MIN_LEN") {
		t.Errorf("after its time: %s, error %v", got, err)
	}
	if done = h.get(done.GetName()); done.GetRejectedRowsExpireTime() != nil || len(done.GetRuleCounts()) < 3 ||
		done.GetRuleCounts()[0].GetGrade() != irtv1.RuleGrade_RULE_GRADE_ERROR {
		t.Errorf("the import is %v", done)
	}
}
