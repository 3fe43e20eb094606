package match

import (
	"cmp"
	"slices"
)

// How many records a key may bring. A narrow block that holds more is cut to as
// many, and the record's other keys still find its like. A broad block that
// holds more tells nothing, and is left to the narrow keys of the same parts
// (a date of birth to date and name, date and postcode, date and district). All
// narrow keys of one record together bring no more than CandidateCap. A caller
// reports all three.
const (
	BlockCap      = 64
	BroadBlockCap = 16
	CandidateCap  = 64
	// likeliest is how many records all broad keys of one may bring together.
	likeliest = 6
)

// One key in common says little of a record of which much is known: in a large index
// it brings strangers, five for each record among a million children, and costs more
// than all the rest. So it is not enough for a record with an NHS number or a UPN that
// has wellKnown keys and more, where the key's block holds more than fewEnough records,
// or where another record shares surely of its keys that tell who a child is.
const (
	wellKnown = 8
	fewEnough = 3
	surely    = 5
)

// Weak tells of the keys of a record which are not enough alone for it to be compared
// with another: where it shares no second narrow key with that, the two do not meet.
// Keys that one child has to itself always are enough, and those of a household never.
// What it tells depends on no place and no telephone but the record's own. block gives
// the records of a key; self is the record, should it be among them.
func Weak[R comparable](self R, keys []uint64, block func(key uint64) []R) func(key uint64) bool {
	keys, _ = Split(keys)
	numbered := slices.ContainsFunc(keys, func(k uint64) bool { return KeyKind(k) == KindNHSNumber || KeyKind(k) == KindUPN })
	if len(keys) < wellKnown || !numbered {
		return func(uint64) bool { return false }
	}
	who := map[R]int{}
	for _, k := range keys {
		if KeyKind(k).whoAlone() {
			for _, r := range block(k) {
				who[r]++
			}
		}
	}
	delete(who, self)
	known := false
	for _, n := range who {
		known = known || n >= surely
	}
	return func(key uint64) bool {
		switch kind := KeyKind(key); {
		case kind.Broad() || kind.oneChilds():
			return false
		case known || kind == KindFamilyPostcode || kind == KindPostcodeGiven:
			return true
		}
		records := block(key)
		return len(records) > fewEnough+1 || len(records) > fewEnough && !slices.Contains(records, self)
	}
}

// Nearest picks, of the records that a record's narrow keys bring and that do not share
// a Weak one alone, the CandidateCap that share most with it, and of these those whose
// blocks are small: with common names in a large index a record would else be compared
// with hundreds. It tells whether any of them were left out. block gives the records of
// a key, of which it takes the first BlockCap; the list is in the order of compare, each
// once. It has self, the record itself, where its keys bring that.
func Nearest[R comparable](self R, keys []uint64, block func(key uint64) []R, compare func(a, b R) int) (list []R, cut bool) {
	keys, _ = Split(keys)
	first := func(k uint64) []R {
		records := block(k)
		return records[:min(len(records), BlockCap)]
	}
	weak := Weak(self, keys, first)
	const enough = 2
	shared := map[R]int{}
	for _, k := range keys {
		worth := enough
		if weak(k) {
			worth = 1
		}
		for _, r := range first(k) {
			shared[r] += worth
		}
	}
	for r, n := range shared {
		if n >= enough || r == self {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, compare)
	if len(list) <= CandidateCap {
		return list, false
	}
	weight := make(map[R]float64, len(list))
	for _, k := range keys {
		records := first(k)
		for _, r := range records {
			weight[r] += 1 + 1/float64(len(records))
		}
	}
	slices.SortFunc(list, func(a, b R) int { return cmp.Or(cmp.Compare(weight[b], weight[a]), compare(a, b)) })
	list = list[:CandidateCap]
	slices.SortFunc(list, compare)
	return list, true
}

// Likeliest picks, of the records that a record's broad keys bring, those that
// share most with it, and of these those whose blocks are small. One weak key in
// common is not enough for a record that has an address: it would bring every
// child born on the day. block gives the records of a key; their order does not
// matter.
func Likeliest[R comparable](keys []uint64, block func(key uint64) []R, compare func(a, b R) int) []R {
	_, keys = Split(keys)
	if len(keys) == 0 {
		return nil
	}
	weight := map[R]float64{}
	addressed := slices.ContainsFunc(keys, func(k uint64) bool { return KeyKind(k) == KindHouse || KeyKind(k) == KindStreetTown })
	least := 1.0
	if addressed {
		least = 2
	}
	for _, k := range keys {
		records := block(k)
		if len(records) > BroadBlockCap {
			continue
		}
		worth := 1.0
		if addressed && KeyKind(k) == KindNames {
			worth = least // both names
		}
		for _, r := range records {
			weight[r] += worth + 1/float64(len(records))
		}
	}
	list := make([]R, 0, len(weight))
	for r, w := range weight {
		if w > least {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b R) int { return cmp.Or(cmp.Compare(weight[b], weight[a]), compare(a, b)) })
	return list[:min(len(list), likeliest)]
}
