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

// Nearest picks, of the records that a record's narrow keys bring, the CandidateCap
// that share most with it, and of these those whose blocks are small: with common
// names in a large index a record would else be compared with hundreds. It tells
// whether any were left out. block gives the records of a key, of which it takes the
// first BlockCap; the list is in the order of compare, each once.
func Nearest[R comparable](keys []uint64, block func(key uint64) []R, compare func(a, b R) int) (list []R, cut bool) {
	keys, _ = Split(keys)
	first := func(k uint64) []R {
		records := block(k)
		return records[:min(len(records), BlockCap)]
	}
	for _, k := range keys {
		list = append(list, first(k)...)
	}
	slices.SortFunc(list, compare)
	if list = slices.Compact(list); len(list) <= CandidateCap {
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
