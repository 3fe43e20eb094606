package standard

import (
	"encoding/binary"
	"errors"

	"github.com/google/uuid"
)

// crockford is Crockford's base 32 in lower case: no i, l, o or u.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// childIDLength is 26 characters for 128 bits, and a check character.
const childIDLength = 27

// NewChildID makes the id of a new child: a UUIDv7, whose order in time keeps
// the index's pages together, and which says nothing of the child.
func NewChildID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// FormatChildID writes a child's id as it stands in resource names: 26 lower
// case characters of Crockford's base 32 and a check character, such that one
// wrong character, or any two exchanged, never gives another child's id.
func FormatChildID(id uuid.UUID) string {
	var text [childIDLength]byte
	var check byte
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for i := childIDLength - 2; i >= 0; i-- {
		digit := byte(lo & 31)
		lo = lo>>5 | hi<<59
		hi >>= 5
		text[i] = crockford[digit]
		check ^= weighted[i][digit]
	}
	text[childIDLength-1] = crockford[check]
	return string(text[:])
}

// errChildID says no more, so that what was sent is never repeated.
var errChildID = errors.New("not a child id: it has 26 letters and digits and a check character")

// ParseChildID reads what FormatChildID wrote, as people copy it: capitals and
// hyphens are accepted, i and l are read as 1 and o as 0. A wrong check
// character is an error; the error does not repeat the text.
func ParseChildID(s string) (uuid.UUID, error) {
	var id uuid.UUID
	var hi, lo uint64
	var sum byte
	n := 0
	for i := range len(s) {
		if s[i] == '-' {
			continue
		}
		digit := crockfordValues[s[i]]
		if digit == noDigit || n == childIDLength || (n == 0 && digit > 7) {
			return id, errChildID
		}
		sum ^= weighted[n][digit]
		if n < childIDLength-1 {
			hi = hi<<5 | lo>>59
			lo = lo<<5 | uint64(digit)
		}
		n++
	}
	if n != childIDLength || sum != 0 {
		return id, errChildID
	}
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

const noDigit = 0xff

// crockfordValues gives the value of every byte, noDigit for those that have none.
var crockfordValues = func() (values [256]byte) {
	for i := range values {
		values[i] = noDigit
	}
	for i := range len(crockford) {
		c := crockford[i]
		values[c] = byte(i)
		if c >= 'a' {
			values[c-'a'+'A'] = byte(i)
		}
	}
	for _, c := range "iIlL" {
		values[c] = 1
	}
	for _, c := range "oO" {
		values[c] = 0
	}
	return values
}()

// weighted holds every digit weighed for every place: the 27 places by different
// non-zero elements of the field of 32 elements, that of the check character by 1.
// The weighted sum of a whole id is zero. A single error changes it because the
// weights are not zero, and an exchange because they differ; the check character
// needs no sign outside the alphabet, as Crockford's own modulus 37 does.
var weighted = func() (products [childIDLength][32]byte) {
	weight := byte(1)
	for i := childIDLength - 1; i >= 0; i-- {
		for digit := range byte(32) {
			products[i][digit] = gf32Mul(digit, weight)
		}
		weight = gf32Mul(weight, 2)
	}
	return products
}()

// gf32Mul multiplies in the field of 32 elements with x^5 + x^2 + 1, in which x
// (2) generates all 31 non-zero elements.
func gf32Mul(a, b byte) byte {
	var product byte
	for b != 0 {
		if b&1 != 0 {
			product ^= a
		}
		a <<= 1
		if a&32 != 0 {
			a ^= 0b100101
		}
		b >>= 1
	}
	return product
}
