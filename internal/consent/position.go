package consent

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
)

// position is a place in a list that is sorted by a day or an instant, then by id.
type position struct {
	day time.Time
	id  uuid.UUID
}

// before and after any day of the standard.
var (
	beforeAll = position{day: time.Date(1800, time.January, 1, 0, 0, 0, 0, time.UTC)}
	afterAll  = position{day: time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)}
)

func (p position) cursor() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(p.day.UnixMicro())), p.id[:]...)
}

// cursor opens the page token of a request; where there is none, it is first.
func (s *Service) cursor(method string, req proto.Message, token string, first position) (position, error) {
	cursor, err := s.tokens.Decode(method, req, token)
	if err != nil || cursor == nil {
		return first, err
	}
	if len(cursor) != 8+len(uuid.UUID{}) {
		return position{}, fmt.Errorf("consent: a page token of %d bytes", len(cursor))
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(cursor))).UTC() //nolint:gosec // as it was written
	return position{at, uuid.UUID(cursor[8:])}, nil
}
