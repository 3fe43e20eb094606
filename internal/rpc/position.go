package rpc

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
)

// Position is a place in a list that is sorted by a day or an instant, then by id.
type Position struct {
	At time.Time
	ID uuid.UUID
}

// Before and after any day of the standard.
var (
	BeforeAll = Position{At: time.Date(1800, time.January, 1, 0, 0, 0, 0, time.UTC)}
	AfterAll  = Position{At: time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)}
)

// Cursor is the position as the cursor of a page token.
func (p Position) Cursor() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(p.At.UnixMicro())), p.ID[:]...)
}

// Position opens the page token of a request for a list that is sorted so; where there
// is none, it is first.
func (p *PageTokens) Position(method string, req proto.Message, token string, first Position) (Position, error) {
	cursor, err := p.Decode(method, req, token)
	if err != nil || cursor == nil {
		return first, err
	}
	if len(cursor) != 8+len(uuid.UUID{}) {
		return Position{}, fmt.Errorf("rpc: a page token of %d bytes", len(cursor))
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(cursor))).UTC() //nolint:gosec // as it was written
	return Position{at, uuid.UUID(cursor[8:])}, nil
}
