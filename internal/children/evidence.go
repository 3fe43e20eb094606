package children

import (
	"encoding/binary"
	"hash/fnv"
	"math"

	"github.com/google/uuid"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/match"
)

// The evidence for a record's place is stored with it, as it was when that was
// decided: another model would weigh it otherwise. It is small, since every record
// has it: whether it is against one record or all of a child together, that record
// or the nearest of them, the weight before comparing, and for each field four bytes:
// what it said and how much that weighed. Evidence against all is never told to be
// against the nearest; that one only leads to the child.
//
//	1 or 2 | record id (16) | prior weight (float32) | { code (2) | weight in 64ths of a bit (2) } …
const (
	evidenceOfOne    = 1
	evidenceOfAll    = 2
	evidenceHead     = 1 + 16 + 4
	evidenceField    = 4
	evidenceFraction = 64
)

// encodeEvidence stores what a decision rests on, and the record that is its Member;
// nothing where nothing was compared.
func encodeEvidence(d *match.Decision, against uuid.UUID) []byte {
	if against == uuid.Nil {
		return nil
	}
	r := &d.Result
	b := make([]byte, 0, evidenceHead+evidenceField*len(r.Fields))
	if d.Together {
		b = append(b, evidenceOfAll)
	} else {
		b = append(b, evidenceOfOne)
	}
	b = append(b, against[:]...)
	b = binary.BigEndian.AppendUint32(b, math.Float32bits(float32(r.PriorWeight)))
	for _, f := range r.Fields {
		b = binary.BigEndian.AppendUint16(b, levelCode(f.Field, f.Level))
		b = binary.BigEndian.AppendUint16(b, uint16(fixed(f.Weight))) //nolint:gosec // the bits of it
	}
	return b
}

func fixed(weight float64) int16 {
	return int16(math.Round(max(math.MinInt16, min(math.MaxInt16, weight*evidenceFraction))))
}

// decodeEvidence gives back the fields, the first being "prior", and the record
// compared with or, where they are of all records of a child together, the nearest
// of these. What it cannot read it leaves out.
func decodeEvidence(b []byte) (fields []*irtv1.MatchFieldWeight, against uuid.UUID, together bool) {
	if len(b) < evidenceHead || b[0] != evidenceOfOne && b[0] != evidenceOfAll {
		return nil, uuid.Nil, false
	}
	together = b[0] == evidenceOfAll
	copy(against[:], b[1:])
	prior := math.Float32frombits(binary.BigEndian.Uint32(b[1+len(against):]))
	fields = append(fields, &irtv1.MatchFieldWeight{Field: priorField, Level: priorField, Weight: float64(prior)})
	for b = b[evidenceHead:]; len(b) >= evidenceField; b = b[evidenceField:] {
		f := &irtv1.MatchFieldWeight{Weight: float64(int16(binary.BigEndian.Uint16(b[2:]))) / evidenceFraction} //nolint:gosec // the bits of it
		name := levelNames[binary.BigEndian.Uint16(b)]
		f.Field, f.Level = name.field, name.level
		fields = append(fields, f)
	}
	return fields, against, together
}

// priorField is the first step of a waterfall: how rare a match is before anything
// is compared.
const priorField = "prior"

// levelCode stands for a field and its level by name and not by number, so that
// levels may come and go in between without changing what is stored.
func levelCode(field, level string) uint16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(field + "\x00" + level)) // a hash takes everything
	sum := h.Sum32()
	return uint16(sum>>16) ^ uint16(sum) //nolint:gosec // folded on purpose
}

type levelName struct{ field, level string }

// levelNames are all there are; TestLevelCodesDiffer sees to it that no two have
// one code.
var levelNames = func() map[uint16]levelName {
	names := map[uint16]levelName{}
	const unknown = "unknown"
	for f := match.Field(0); f.String() != unknown; f++ {
		for l := match.Level(1); match.LevelName(f, l) != unknown; l++ {
			names[levelCode(f.String(), match.LevelName(f, l))] = levelName{f.String(), match.LevelName(f, l)}
		}
	}
	return names
}()
