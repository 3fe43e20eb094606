package exchange

import (
	"bytes"
	"crypto/sha256"
	"hash/maphash"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/csvfile"
)

// chunks are an upload of as many equal chunks as one asks for.
type chunks struct {
	grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]
	chunk []byte
}

func (c chunks) Recv() (*irtv1.CreateImportRequest, error) {
	return &irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Chunk{Chunk: c.chunk}}, nil
}

func TestFileIsBounded(t *testing.T) {
	t.Parallel()
	n, err := io.CopyBuffer(onlyWriter{io.Discard}, (&Service{maxFile: maxFile, patience: time.Minute}).receive(t.Context(), chunks{chunk: make([]byte, 1<<20)}, ""), make([]byte, 1<<20))
	if n != maxFile || status.Code(err) != codes.ResourceExhausted {
		t.Errorf("%d bytes were read, error %v", n, err)
	}
}

// onlyWriter keeps io.Copy to the given buffer.
type onlyWriter struct{ io.Writer }

func TestRowsAreBounded(t *testing.T) {
	t.Parallel()
	s, err := readHeader(csvfile.Row{Cells: []string{"CHILD_FIRST_NAME", "CHILD_LAST_NAME", "CHILD_DATE_OF_BIRTH"}})
	if err != nil {
		t.Fatal(err)
	}
	file := newPrefix(strings.NewReader("too short\ntoo short\n"))
	c := &intake{
		job: &job{state: &irtv1.Import{}}, src: &cohort{table: table{file: csvfile.NewReader(file)}, sheet: s}, prefix: file, rows: maxRows - 1,
		claims: newClaims(new(atomic.Int64)),
	}
	if l, err := c.next(); err != nil || l.number != 1 {
		t.Errorf("the last row there may be: %v, error %v", l, err)
	}
	if l, err := c.next(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one more: %v, error %v", l, err)
	}
}

// What a process remembers of the rows of its files is bounded: a file beyond that is
// not refused, but left to be gone on with, and one that ends makes room.
func TestRowsOfAllFilesAreBounded(t *testing.T) {
	t.Parallel()
	var remembered atomic.Int64
	others := newClaims(&remembered)
	for i := range 3 {
		others.leave(others.enter(claimKey{byte(i)}, claim{row: 1}), true)
	}
	remembered.Add(maxRemembered - 4)
	const header = `{"name":"a","givenName":"Amara","familyName":"Osei","dateOfBirth":"2016-05-04"}` + "\n"
	file := newPrefix(strings.NewReader(strings.Repeat(header, 3)))
	c := &intake{
		job: &job{state: &irtv1.Import{}, agency: "school"}, prefix: file, claims: newClaims(&remembered), seed: maphash.MakeSeed(),
	}
	c.src = openNDJSON(c.job, file, childRecords)
	if l, err := c.next(); err != nil || l.number != 1 {
		t.Fatalf("the last row there is room for: %v, error %v", l, err)
	}
	_, err := c.next()
	if status.Code(err) != codes.Unavailable || isOfFile(err) {
		t.Errorf("one more: error %v", err)
	}
	others.close()
	if _, err := c.next(); err != nil {
		t.Errorf("another file has ended: %v", err)
	}
	c.claims.close()
	c.claims.leave(c.claims.enter(claimKey{1}, claim{row: 9}), true) // read while the file ended
	if n := remembered.Load(); n != maxRemembered-4 {
		t.Errorf("%d rows are remembered of files that have ended", n-maxRemembered+4)
	}
}

// A file that is one line without an end is not held, and its digest is still known.
func TestWhatIsHeldOfAFileIsBounded(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	sum := sha256.New()
	file := newPrefix(io.TeeReader(io.LimitReader(letters{}, size), sum))
	rows := csvfile.NewReader(file)
	row, err := rows.Read()
	if err != nil || row.Fault == nil || cap(file.held) > 8*ahead {
		t.Errorf("%v, %v; %d bytes are held", row, err, cap(file.held))
	}
	file.pass(rows.Offset())
	if d := file.digest(); rows.Offset() != size || !bytes.Equal(d[:], sum.Sum(nil)) {
		t.Errorf("another digest, at %d", rows.Offset())
	}
}

// letters are a text without an end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a' + byte(i%26)
	}
	return len(p), nil
}
