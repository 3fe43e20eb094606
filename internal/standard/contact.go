package standard

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// telephoneIsValid reports whether a number can be dialled in the United Kingdom
// as it is written: a valid number of the numbering plan, or an international one
// with its +. Numbers that Ofcom keeps for drama pass, so that tests and
// demonstrations need no real person's.
func telephoneIsValid(s string) bool {
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
