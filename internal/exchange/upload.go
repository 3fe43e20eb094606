package exchange

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/textfile"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

const (
	// maxFile bounds a file, in bytes.
	maxFile = 1 << 30
	// maxRows bounds the rows of a file, so that an import ends within the day and
	// what it remembers of them stays below 100 MiB.
	maxRows = 1_000_000
)

// upload is the file on its way, as a reader. Two chunks at a time are in memory:
// the one being read and the one that has come after it.
type upload struct {
	ctx      context.Context //nolint:containedctx // of the import, which may end while the sender says nothing
	parts    <-chan part
	chunk    []byte
	err      error // the end, which is told as often as it is asked for
	total    int64
	most     int64 // of total
	still    error // why it ends where no message comes for as long as patience
	patience time.Duration
	sum      hash.Hash // of all that was read
}

// part is what the stream gave: a chunk, or why there are no more.
type part struct {
	chunk []byte
	err   error
}

// receive reads the chunks of the stream of an import for as long as ctx lasts. The
// stream ends when its handler returns, and with it what is started here.
func (s *Service) receive(ctx context.Context, stream grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import], name string) *upload {
	parts := make(chan part)
	go func() {
		for {
			var p part
			request, err := stream.Recv()
			switch {
			case err != nil:
				p.err = err
			case request.GetHeader() != nil:
				p.err = rpc.Malformed("only the first message of an upload holds a header")
			default:
				p.chunk = request.GetChunk()
			}
			select {
			case parts <- p:
			case <-ctx.Done():
				return
			}
			if p.err != nil {
				return
			}
		}
	}()
	return &upload{ctx: ctx, parts: parts, most: s.maxFile, still: errStill(name), patience: s.patience, sum: sha256.New()}
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	for len(u.chunk) == 0 && u.err == nil {
		u.next()
	}
	if u.err != nil {
		return 0, u.err
	}
	n := copy(p, u.chunk)
	u.chunk = u.chunk[n:]
	return n, nil
}

// next waits for the next chunk, and for no longer than patience. It is called when the
// hub has taken in what came before: while it is busy with that, no time counts against
// a sender who is held up by it.
func (u *upload) next() {
	late := time.NewTimer(u.patience)
	defer late.Stop()
	select {
	case p := <-u.parts:
		u.chunk, u.err = p.chunk, p.err
	case <-late.C:
		u.err = u.still
	case <-u.ctx.Done():
		u.err = u.ctx.Err()
	}
	if u.total += int64(len(u.chunk)); u.total > u.most {
		u.err = tooMuch("The file has more than 1 GiB")
	}
	_, _ = u.sum.Write(u.chunk) // never fails
}

// errStill says that the sender of an import sends nothing. That is not for the file to
// answer for: the import is interrupted, and can go on.
func errStill(name string) error {
	return rpc.Error(codes.DeadlineExceeded, irtv1.ErrorReason_ERROR_REASON_DEADLINE_EXCEEDED,
		"Nothing more of the file came for too long. What was acknowledged is in; send the same file again under the import's name, "+name+", for the rest.")
}

// tooMuch says that a bound was met on the way.
func tooMuch(what string) error {
	return rpc.Error(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_TOO_LARGE,
		what+". The rows before that went in; send the rest as a file of its own.")
}

// fileError puts what is wrong with a file as a whole into the words of the API.
func fileError(err error) error {
	var f *textfile.FormatError
	if !errors.As(err, &f) || errors.Is(err, io.EOF) {
		return fmt.Errorf("exchange: reading the file: %w", err)
	}
	return rpc.Invalid([]standard.Fault{{Field: "file", RuleID: f.RuleID, Description: f.Description, Action: f.Action}})
}
