package exchange

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
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
	}
	if l, err := c.next(); err != nil || l.number != 1 {
		t.Errorf("the last row there may be: %v, error %v", l, err)
	}
	if l, err := c.next(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one more: %v, error %v", l, err)
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
