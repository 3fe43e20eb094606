package standard

import (
	"crypto/sha256"

	"github.com/google/uuid"
)

// RecordID is the key under which the hub keeps an agency's record of a child:
// the first 4 bytes of SHA-256(agency) and the first 12 of
// SHA-256(agency 0x00 localID). The agency comes first so that one agency's
// records lie together. It is derived, so that finding or writing a record
// needs no look-up, and two processes cannot give one record two keys.
// Both ids are taken as they are: agency "a", not "agencies/a".
func RecordID(agency, localID string) uuid.UUID {
	return derivedID(agency, agency+"\x00"+localID)
}

// InvolvementID is the key of an agency's involvement, derived as RecordID is
// but from SHA-256(agency 0x00 "involvements" 0x00 localID), so that a record
// and an involvement with one local id are not mistaken for each other.
func InvolvementID(agency, localID string) uuid.UUID {
	return derivedID(agency, agency+"\x00involvements\x00"+localID)
}

// ConsentID is the key of a consent that an agency recorded, derived as
// InvolvementID is.
func ConsentID(agency, localID string) uuid.UUID {
	return derivedID(agency, agency+"\x00consents\x00"+localID)
}

// ConcernID is the key of a concern that an agency shared, derived as
// InvolvementID is.
func ConcernID(agency, localID string) uuid.UUID {
	return derivedID(agency, agency+"\x00concerns\x00"+localID)
}

// RefusalID is the key of a refusal that an agency recorded, derived as
// InvolvementID is.
func RefusalID(agency, localID string) uuid.UUID {
	return derivedID(agency, agency+"\x00refusals\x00"+localID)
}

// PlanID is the key of a plan that an agency is responsible for, derived as
// InvolvementID is.
func PlanID(agency, localID string) uuid.UUID {
	return derivedID(agency, agency+"\x00plans\x00"+localID)
}

// ReferralID is the key of a referral that an agency sent, derived as
// InvolvementID is.
func ReferralID(agency, localID string) uuid.UUID {
	return derivedID(agency, agency+"\x00referrals\x00"+localID)
}

func derivedID(owner, whole string) uuid.UUID {
	var id uuid.UUID
	first, rest := sha256.Sum256([]byte(owner)), sha256.Sum256([]byte(whole))
	copy(id[:4], first[:4])
	copy(id[4:], rest[:12])
	return id
}

// ReviewID is the key of the match review of a record and the child it may
// describe: one pair is one review, however often matching comes upon it.
func ReviewID(record, candidate uuid.UUID) uuid.UUID {
	return derivedID(string(record[:]), string(record[:])+string(candidate[:]))
}

// RecordRange is the range of RecordID that holds all of an agency's records:
// those greater than first, up to and including last. Another agency's may lie
// in it too.
func RecordRange(agency string) (first, last uuid.UUID) {
	sum := sha256.Sum256([]byte(agency))
	copy(first[:4], sum[:4])
	copy(last[:4], sum[:4])
	for i := 4; i < len(last); i++ {
		last[i] = 0xff
	}
	return first, last
}
