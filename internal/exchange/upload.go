package exchange

import (
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/csvfile"
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

// upload is the file on its way, as a reader. One chunk at a time is in memory:
// the next is asked for when this one has been read.
type upload struct {
	stream grpc.ClientStreamingServer[irtv1.CreateImportRequest, irtv1.Import]
	chunk  []byte
	total  int64
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	for len(u.chunk) == 0 {
		part, err := u.stream.Recv()
		if err != nil {
			return 0, err
		}
		if part.GetHeader() != nil {
			return 0, rpc.Malformed("only the first message of an upload holds a header")
		}
		u.chunk = part.GetChunk()
		if u.total += int64(len(u.chunk)); u.total > maxFile {
			return 0, tooMuch("The file has more than 1 GiB")
		}
	}
	n := copy(p, u.chunk)
	u.chunk = u.chunk[n:]
	return n, nil
}

// tooMuch says that a bound was met on the way.
func tooMuch(what string) error {
	return rpc.Error(codes.ResourceExhausted, irtv1.ErrorReason_ERROR_REASON_TOO_LARGE,
		what+". The rows before that went in; send the rest as a file of its own.")
}

// fileError puts what is wrong with a file as a whole into the words of the API.
func fileError(err error) error {
	var f *csvfile.FormatError
	if !errors.As(err, &f) {
		return fmt.Errorf("exchange: reading the file: %w", err)
	}
	return rpc.Invalid([]standard.Fault{{Field: "file", RuleID: f.RuleID, Description: f.Description, Action: f.Action}})
}
