package standard

import (
	"strings"
	"sync/atomic"

	"github.com/nyaruka/phonenumbers"
)

// telephoneIsValid reports whether a number can be dialled in the United Kingdom
// as it is written: a valid number of the numbering plan, or an international one
// with its +. Numbers that Ofcom keeps for drama pass, so that tests and
// demonstrations need no real person's.
func telephoneIsValid(s string) bool {
	block, isPlain := telephoneBlock(s)
	if !isPlain {
		return parseTelephone(s)
	}
	word, shift := &telephoneBlocks[block/16], block%16*2
	if known := word.Load() >> shift & 3; known != 0 {
		return known == blockInUse
	}
	valid := parseTelephone(s)
	if valid {
		word.Or(blockInUse << shift)
	} else {
		word.Or(blockUnused << shift)
	}
	return valid
}

// parseTelephone takes tens of microseconds, more than all other rules together.
func parseTelephone(s string) bool {
	number, err := phonenumbers.Parse(s, "GB")
	if err != nil {
		return false
	}
	return phonenumbers.IsValidNumber(number) || isDramaNumber(number)
}

// isDramaNumber knows the ranges of Ofcom's list that the numbering plan's
// metadata does not count as valid.
func isDramaNumber(n *phonenumbers.PhoneNumber) bool {
	if n.GetCountryCode() != 44 {
		return false
	}
	switch n.GetNationalNumber() / 1000 {
	case 7700900, 1632960, 8081570, 9098790, 3069990:
		return true
	}
	return false
}

// telephoneBlocks remembers, in two bits each, which blocks of the United
// Kingdom's numbering plan are in use: numbers with ten digits after the 0, by
// the first seven, beyond which the plan never divides them (a test looks).
// Seven digits name an exchange or an operator's range, never a subscriber.
var telephoneBlocks [10_000_000 / 16]atomic.Uint32

const (
	blockInUse  = 1
	blockUnused = 2
)

// telephoneBlock gives the block of a number that is written plainly: 0 or +44,
// ten digits, grouped by spaces or hyphens.
func telephoneBlock(s string) (block int, isPlain bool) {
	rest, trunk := strings.CutPrefix(s, "0")
	if !trunk {
		if rest, trunk = strings.CutPrefix(s, "+44"); !trunk {
			return 0, false
		}
	}
	digits := 0
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= '0' && c <= '9':
			if digits++; digits <= 7 {
				block = block*10 + int(c-'0')
			}
		case c != ' ' && c != '-':
			return 0, false
		}
	}
	return block, digits == 10 && block >= 1_000_000
}

// emailIsValid reports whether s has the form of an address that mail can be sent
// to: the form that HTML forms accept, with a domain of at least two parts.
func emailIsValid(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	if !found || local == "" || len(local) > 64 || len(s) > 254 {
		return false
	}
	for i := range len(local) {
		if !isLetterOrDigit(local[i]) && !strings.ContainsRune(".!#$%&'*+/=?^_`{|}~-", rune(local[i])) {
			return false
		}
	}
	return isDomain(domain)
}

func isDomain(s string) bool {
	labels := 0
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !isLetterOrDigit(label[i]) && label[i] != '-' {
				return false
			}
		}
		labels++
	}
	return labels >= 2
}

func isLetterOrDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
