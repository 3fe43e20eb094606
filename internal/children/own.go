package children

import (
	"context"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/standard"
)

// Own gives what an agency says of the person in the record of a local id, without
// its name and what only the hub says of it; nil where there is none in force. The
// caller must be one who may read the agency's records.
func (s *Service) Own(ctx context.Context, agency, localID string) (*irtv1.ChildRecord, error) {
	found, err := queryRecords(ctx, s.pool, `SELECT `+recordList+` FROM child_records WHERE record_id = $1 AND state = $2`,
		[16]byte(standard.RecordID(agency, localID)), int32(irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return proto.CloneOf(found[0].person), nil
}

// Held is a record as its agency sees it, the child it is linked to, and its place
// among the agency's records.
type Held struct {
	Record *irtv1.ChildRecord
	Child  uuid.UUID
	Place  []byte
}

// Export gives the records in force of an agency after a place, which is nil before
// the first, in the order of their keys. The caller must be one who may read them.
func (s *Service) Export(ctx context.Context, agency string, after []byte, limit int) ([]Held, error) {
	first, last := standard.RecordRange(agency)
	if len(after) == len(first) {
		copy(first[:], after)
	}
	records, err := queryRecords(ctx, s.pool, `SELECT `+recordList+` FROM child_records
		WHERE record_id > $1 AND record_id <= $2 AND agency_id = $3 AND state = $4 ORDER BY record_id LIMIT $5`,
		[16]byte(first), [16]byte(last), agency, int32(irtv1.ChildRecordState_CHILD_RECORD_STATE_ACTIVE), limit)
	if err != nil {
		return nil, err
	}
	shown, err := s.showRecords(ctx, records)
	if err != nil {
		return nil, err
	}
	held := make([]Held, len(records))
	for i, r := range records {
		held[i] = Held{Record: shown[i], Child: r.childID, Place: r.id[:]}
	}
	return held, nil
}
