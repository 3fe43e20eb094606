package match

import (
	"slices"
	"strings"
)

// KeyVersion changes whenever Keys may give other values for the same record;
// stored keys must then be computed anew, which irthub match rematch does.
const KeyVersion = 6

// KeysAlikeSince is the oldest KeyVersion with most of whose keys those of this one
// agree, so that a hub can be at work while keys are made anew.
const KeysAlikeSince = 4

// Kind is what a blocking key was made of, for reports about full blocks.
type Kind uint8

// The kinds of key. Their numbers are part of the stored key: never reuse one.
// There are at most 31, so that no key is negative as a signed number.
const (
	KindNHSNumber Kind = 1
	KindUPN       Kind = 2
	KindNameBorn  Kind = 3 // sound of any one name + date of birth
	// 4 was used before the first release.
	KindNamesYear      Kind = 5 // sounds of given and family name in either order + year
	KindPostcodeBorn   Kind = 6
	KindPostcodeGiven  Kind = 7 // postcode + first letter of the given name; not made where address, NHS number and UPN are known
	KindTelephoneGiven Kind = 8
	KindAddressGiven   Kind = 9 // house number, street and first letter
	KindEmail          Kind = 10
	KindIdentifier     Kind = 11
	KindNamesDay       Kind = 12 // sounds of both names + day and month
	KindNamesDistrict  Kind = 13 // sounds of both names + postal district
	KindNamesOther     Kind = 14 // sounds of both names + other text
	KindDistrictBorn   Kind = 15 // postal district + date of birth; made where little else is known
	KindFamilyPostcode Kind = 16 // sound of the family name + postcode

	// Broad kinds, made only for records that have fewer of those above.
	KindBorn          Kind = 17 // date of birth
	KindNames         Kind = 18 // sounds of both names in either order
	KindNameOther     Kind = 19 // sound or nickname group of any one name + other text
	KindNameYear      Kind = 20 // sound of any one name + year
	KindEmailLocal    Kind = 21 // what stands before the @
	KindHouse         Kind = 22 // house number and street
	KindPostcode      Kind = 23
	KindNamePlace     Kind = 24 // sound of any one name + postal district or town
	KindSectorYear    Kind = 25 // postal sector + year
	KindSectorInitial Kind = 26 // postal sector + first letter of any one name
	KindNickname      Kind = 27 // nickname group + sound of the family name
	KindNameInitial   Kind = 28 // sound of one name + first letter of the other
	KindOtherYear     Kind = 29 // other text + year
	KindInitialOther  Kind = 30 // first letter of any one name + other text
	KindStreetTown    Kind = 31
)

var kindNames = map[Kind]string{
	KindNHSNumber: "nhs_number", KindUPN: "upn", KindNameBorn: "name_born", KindNamesYear: "names_year", KindPostcodeBorn: "postcode_born", KindPostcodeGiven: "postcode_given",
	KindTelephoneGiven: "telephone_given", KindAddressGiven: "address_given", KindEmail: "email",
	KindIdentifier: "identifier", KindNamesDay: "names_day", KindNamesDistrict: "names_district",
	KindNamesOther: "names_other", KindDistrictBorn: "district_born", KindFamilyPostcode: "family_postcode",
	KindBorn: "born", KindNames: "names", KindNameOther: "name_other", KindNameYear: "name_year", KindEmailLocal: "email_local",
	KindHouse: "house", KindPostcode: "postcode", KindNamePlace: "name_place", KindSectorYear: "sector_year",
	KindSectorInitial: "sector_initial", KindNickname: "nickname", KindNameInitial: "name_initial",
	KindOtherYear: "other_year", KindInitialOther: "initial_other",
	KindStreetTown: "street_town",
}

// String names the kind for reports.
func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return "unknown"
}

// KeyKind tells what a key was made of: its lower six bits.
func KeyKind(key uint64) Kind { return Kind(key & (1<<kindBits - 1)) }

// The bits of a key, from the lowest: its kind, what it is alone of its kind, its
// place. The highest is zero.
const (
	kindBits  = 6
	ownBits   = 37
	placeBits = 20
)

// KeyPlace is the place of a key: its upper 20 bits but the highest.
func KeyPlace(key uint64) int32 { return int32(key >> (ownBits + kindBits)) }

// KeyAt is a key at another place, of which the lower 20 bits count.
func KeyAt(key uint64, place uint32) uint64 {
	return uint64(place)&(1<<placeBits-1)<<(ownBits+kindBits) | key&(1<<(ownBits+kindBits)-1)
}

// KeyOwn is what a key is alone of its kind, whatever its place: 37 bits.
func KeyOwn(key uint64) uint64 { return key >> kindBits & (1<<ownBits - 1) }

// Broad tells the kinds that bring many strangers: a caller looks them up only
// for a record that its narrow keys did not link.
func (k Kind) Broad() bool { return k >= KindBorn }

// oneChilds tells the kinds that a child has to itself, or nearly.
func (k Kind) oneChilds() bool {
	switch k {
	case KindNHSNumber, KindUPN, KindIdentifier, KindEmail, KindTelephoneGiven:
		return true
	}
	return false
}

// whoAlone tells the narrow kinds that are made of who a child is, and not of where it
// is or how it is reached.
func (k Kind) whoAlone() bool {
	switch k {
	case KindNHSNumber, KindUPN, KindIdentifier, KindNameBorn, KindNamesYear, KindNamesDay, KindNamesOther:
		return true
	}
	return false
}

// Split parts keys into narrow and broad ones, which Keys lists in this order.
func Split(keys []uint64) (narrow, broad []uint64) {
	for i, k := range keys {
		if KeyKind(k).Broad() {
			return keys[:i:i], keys[i:]
		}
	}
	return keys, nil
}

// Keys gives the record's blocking keys, without repeats, in a fixed order,
// narrow ones first. Two records that share no key are never compared. A key
// with a missing part is not made, because it would gather everyone who lacks
// that part.
//
// A record with no NHS number, no UPN and no telephone, of which little is
// known, has broad keys besides. In an index of a million children their blocks
// are mostly over BroadBlockCap and cost no more than a look; in a small one, or
// for a rare name, they find what a misspelt record hides. It also has a
// narrow key that brings more neighbours than it finds children, of the date of birth
// and the district; that of the postcode and an initial only a record with address, NHS
// number and UPN has not.
//
// A key begins with its place: 20 bits of what some kinds of one record share (the
// date of birth, the pair of names, the postcode, a number by itself), so that an
// ordered index has them side by side: 13 keys are on about 7 of its pages, which are
// read, changed and logged together. Then come 37 bits of the whole and six of the kind.
// Bits are those of FNV-1a (64 bits, over the parts of the place, the kind, and the
// parts beside; each part ended by a zero byte, then mixed by the finaliser of
// MurmurHash3). It is the same on every machine and in every release of
// one KeyVersion. As a signed 64-bit number it is never negative.
func Keys(f *Features) []uint64 {
	k := &keySet{list: make([]uint64, 0, 32), sparse: f.NHS == 0 && f.UPN == "" && len(f.Telephones) == 0}
	k.identifiers(f)
	if f.Born.full() {
		k.born(f)
	}
	k.names(f)
	k.household(f)
	if k.sparse {
		k.broad(f)
		if f.Address.Street == "" {
			k.broadest(f)
		}
	}
	return k.list
}

type keySet struct {
	list   []uint64
	sparse bool // little is known of the record
}

// at begins keys at a place.
func (k *keySet) at(place hash) keysAt {
	return keysAt{k, place, place.sum() >> (64 - placeBits) << (ownBits + kindBits)}
}

// keysAt are the keys of one place.
type keysAt struct {
	*keySet

	place hash
	bits  uint64 // of the place, where a key has them
}

// alone makes the key that is its place and no more.
func (k keysAt) alone(kind Kind) { k.add(kind, k.place.byte(byte(kind))) }

func (k keysAt) number(kind Kind, n uint64) { k.add(kind, k.place.byte(byte(kind)).number(n)) }

func (k keysAt) text(kind Kind, s string) { k.add(kind, k.place.byte(byte(kind)).text(s)) }

// add appends the key unless it is there: lists are too short for a map to pay.
func (k keysAt) add(kind Kind, h hash) {
	key := k.bits | h.sum()>>(64-ownBits)<<kindBits | uint64(kind)
	if !slices.Contains(k.list, key) {
		k.list = append(k.list, key)
	}
}

func (k *keySet) identifiers(f *Features) {
	if f.NHS != 0 {
		k.at(start.number(f.NHS)).alone(KindNHSNumber)
	}
	if f.UPN != "" {
		k.at(start.text(f.UPN)).alone(KindUPN)
	}
	if f.Identifier != "" {
		k.at(start.text(f.Identifier)).alone(KindIdentifier)
	}
	for _, e := range f.Emails {
		k.at(start.text(e)).alone(KindEmail)
	}
}

// born makes the keys that hold the whole date of birth. All names share one
// kind, so that crossed names and a child called by a middle name still meet.
func (k *keySet) born(f *Features) {
	born := k.at(start.number(uint64(f.Born.packed())))
	for _, list := range [2][]Name{f.Family, f.Given} {
		for i := range list {
			born.number(KindNameBorn, list[i].Sound)
			for _, w := range list[i].Words {
				born.number(KindNameBorn, sound(w))
			}
		}
	}
	for _, w := range f.Middle {
		if len(w) > 1 {
			born.number(KindNameBorn, sound(w))
		}
	}
	if f.Postcode != "" {
		if k.sparse {
			born.text(KindDistrictBorn, outward(f.Postcode))
		}
		home := k.at(start.text(f.Postcode))
		home.number(KindPostcodeBorn, uint64(f.Born.packed()))
	}
}

// names makes the keys of both names, for records whose date of birth is wrong
// in part or missing.
func (k *keySet) names(f *Features) {
	for i := range f.Given {
		for j := range f.Family {
			x, y := f.Given[i].Sound, f.Family[j].Sound
			k.bothNames(min(x, y), max(x, y), f)
		}
	}
}

func (k *keySet) bothNames(x, y uint64, f *Features) {
	names := k.at(start.number(x).number(y))
	if f.Born.Year != 0 {
		names.number(KindNamesYear, uint64(f.Born.Year))
	}
	if f.Born.full() {
		day := uint64(f.Born.Month)*100 + uint64(f.Born.Day)
		names.number(KindNamesDay, day)
	}
	if f.Postcode != "" {
		names.text(KindNamesDistrict, outward(f.Postcode))
	}
	if f.Other != "" {
		names.text(KindNamesOther, f.Other)
	}
}

// household makes the keys of a household and of a child within it, free of
// its dates.
func (k *keySet) household(f *Features) {
	home := k.at(start.text(f.Postcode))
	house := k.at(start.text(f.Address.Number).text(f.Address.Street))
	if f.Postcode != "" {
		for i := range f.Family {
			home.number(KindFamilyPostcode, f.Family[i].Sound)
		}
	}
	addressed := f.Address.Number != "" && f.Address.Street != ""
	for i := range f.Given {
		initial := uint64(f.Given[i].Joined[0])
		if f.Postcode != "" && !(addressed && f.NHS != 0 && f.UPN != "") {
			home.number(KindPostcodeGiven, initial)
		}
		if addressed {
			house.number(KindAddressGiven, initial)
		}
		for _, t := range f.Telephones {
			called := k.at(start.number(t))
			called.number(KindTelephoneGiven, initial)
		}
	}
}

// broad makes further keys for a record with no number and no telephone, of
// which fewer keys were made.
func (k *keySet) broad(f *Features) {
	if f.Born.full() {
		k.at(start.number(uint64(f.Born.packed()))).alone(KindBorn)
	}
	for i := range f.Given {
		for j := range f.Family {
			x, y := f.Given[i].Sound, f.Family[j].Sound
			k.at(start.number(min(x, y)).number(max(x, y))).alone(KindNames)
		}
	}
	k.place(f)
	if f.Postcode == "" {
		return
	}
	k.at(start.text(f.Postcode)).alone(KindPostcode)
	for _, list := range [2][]Name{f.Family, f.Given} {
		for i := range list {
			k.at(start.number(list[i].Sound)).text(KindNamePlace, outward(f.Postcode))
		}
	}
}

// place makes the keys of an address that need no postcode.
func (k *keySet) place(f *Features) {
	if f.Address.Number != "" && f.Address.Street != "" {
		k.at(start.text(f.Address.Number).text(f.Address.Street)).alone(KindHouse)
	}
	if f.Address.Town == "" {
		return
	}
	k.at(start.text(f.Address.Street)).text(KindStreetTown, f.Address.Town)
	for _, list := range [2][]Name{f.Family, f.Given} {
		for i := range list {
			k.at(start.number(list[i].Sound)).text(KindNamePlace, f.Address.Town)
		}
	}
}

// broadest makes keys for a record that has no address either: of any one name
// and a weak part, so that the other name may be wrong.
func (k *keySet) broadest(f *Features) {
	for i := range f.Given {
		for j := range f.Family {
			k.nicknames(&f.Given[i], &f.Family[j])
		}
	}
	for _, list := range [2][]Name{f.Family, f.Given} {
		for i := range list {
			k.oneName(&list[i], f)
		}
	}
	for _, e := range f.Emails {
		local, _, _ := strings.Cut(e, "@")
		k.at(start.text(local)).alone(KindEmailLocal)
	}
	if f.Postcode != "" && f.Born.Year != 0 {
		k.at(start.text(sector(f.Postcode))).number(KindSectorYear, uint64(f.Born.Year))
	}
	if f.Other != "" && f.Born.Year != 0 {
		k.at(start.text(f.Other)).number(KindOtherYear, uint64(f.Born.Year))
	}
}

// nicknames makes the keys of two names that need not sound the same: Jerry
// Owens and Jeremy Owen.
func (k *keySet) nicknames(given, family *Name) {
	for _, g := range given.Groups {
		k.at(start.number(uint64(g|formal))).number(KindNickname, family.Sound)
	}
	k.at(start.number(family.Sound)).number(KindNameInitial, uint64(given.Joined[0]))
	k.at(start.number(given.Sound)).number(KindNameInitial, uint64(family.Joined[0]))
}

func (k *keySet) oneName(n *Name, f *Features) {
	if f.Other != "" {
		k.at(start.number(n.Sound)).text(KindNameOther, f.Other)
		k.at(start.number(uint64(n.Joined[0]))).text(KindInitialOther, f.Other)
		for _, g := range n.Groups {
			k.at(start.number(uint64(g|formal))).text(KindNameOther, f.Other)
		}
	}
	if f.Born.Year != 0 {
		k.at(start.number(n.Sound)).number(KindNameYear, uint64(f.Born.Year))
	}
	if f.Postcode != "" {
		k.at(start.text(sector(f.Postcode))).number(KindSectorInitial, uint64(n.Joined[0]))
	}
}

// hash is FNV-1a in the making.
type hash uint64

const start hash = 14695981039346656037

func (h hash) byte(b byte) hash { return (h ^ hash(b)) * 1099511628211 }

func (h hash) text(s string) hash {
	for i := range len(s) {
		h = h.byte(s[i])
	}
	return h.byte(0)
}

// number hashes eight bytes, least significant first, and the ending zero.
func (h hash) number(n uint64) hash {
	for i := range 8 {
		h = h.byte(byte(n >> (8 * i) & 0xff))
	}
	return h.byte(0)
}

// sum mixes, because FNV leaves the last bytes in the low bits.
func (h hash) sum() uint64 {
	x := uint64(h)
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
