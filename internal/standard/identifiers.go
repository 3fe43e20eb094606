package standard

import "strings"

// ValidNHSNumber reports whether s is ten digits whose last is the modulus 11
// check digit of the others. Spaces are not accepted: see Normalise.
// Source: NHS Data Dictionary, NHS NUMBER.
func ValidNHSNumber(s string) bool {
	if len(s) != 10 {
		return false
	}
	check, ok := NHSNumberCheckDigit(s[:9])
	return ok && check == s[9]
}

// NHSNumberCheckDigit gives the tenth digit of an NHS number from the first
// nine; ok is false where they are not nine digits, or where no number begins
// with them (the check would be 10). Source: NHS Data Dictionary, NHS NUMBER.
func NHSNumberCheckDigit(first9 string) (digit byte, ok bool) {
	if len(first9) != 9 || !allDigits(first9) {
		return 0, false
	}
	sum := 0
	for i := range 9 {
		sum += int(first9[i]-'0') * (10 - i)
	}
	switch check := 11 - sum%11; check {
	case 11:
		return '0', true
	case 10:
		return 0, false
	default:
		return byte('0' + check), true
	}
}

// upnAlphabet gives the letters of a UPN their values 0 to 22: I, O and S are
// left out because they look like digits.
const upnAlphabet = "ABCDEFGHJKLMNPQRTUVWXYZ"

// ValidUPN reports whether s has the form of a unique pupil number, permanent or
// temporary, and the right check letter. Whether its local authority exists is
// another question: see UPNAuthority. Source: DfE, UPN guide.
func ValidUPN(s string) bool {
	if len(s) != 13 {
		return false
	}
	letter, ok := UPNCheckLetter(s[1:])
	return ok && letter == s[0]
}

// UPNCheckLetter gives the first letter of a UPN from the other twelve
// characters; ok is false where they are not eleven digits and a digit or
// letter of the UPN alphabet. Source: DfE, UPN guide.
func UPNCheckLetter(last12 string) (letter byte, ok bool) {
	if len(last12) != 12 || !allDigits(last12[:11]) {
		return 0, false
	}
	sum := 0
	for i := range 11 {
		sum += int(last12[i]-'0') * (i + 2)
	}
	last := int(last12[11]) - '0'
	if last < 0 || last > 9 {
		if last = strings.IndexByte(upnAlphabet, last12[11]); last < 0 {
			return 0, false
		}
	}
	sum += last * 13
	return upnAlphabet[sum%23], true
}

// UPNTemporary reports whether a UPN is a temporary one, which ends in a letter.
func UPNTemporary(s string) bool {
	return len(s) == 13 && (s[12] < '0' || s[12] > '9')
}

// UPNAuthority gives the number of the local authority that a UPN names, and
// whether the Department for Education lists it.
func UPNAuthority(s string) (la int, listed bool) {
	if len(s) != 13 || !allDigits(s[1:4]) {
		return 0, false
	}
	la = int(s[1]-'0')*100 + int(s[2]-'0')*10 + int(s[3]-'0')
	return la, upnAuthorities[la]
}

// upnAuthorityRanges are the numbers that the second to fourth characters of a
// UPN may be: local authorities present and past, as the Department for Education
// lists them for the check of UPNs.
const upnAuthorityRanges = "001-005 201-213 301-320 330-336 340-344 350-359 370-373 380-384 390-394 " +
	"420-420 660-681 701-708 800-803 805-808 810-813 815-816 820-823 825-826 830-831 835-841 845-846 " +
	"850-852 855-857 860-861 865-896 908-909 916-916 919-919 921-921 925-926 928-929 931-931 933-933 " +
	"935-938 940-941"

var upnAuthorities = func() (listed [1000]bool) {
	for r := range strings.FieldsSeq(upnAuthorityRanges) {
		for la := atoi(r[:3]); la <= atoi(r[4:]); la++ {
			listed[la] = true
		}
	}
	return listed
}()

// ValidULN reports whether s is ten digits, the first not zero, whose sum
// weighted 10 to 1 leaves 10 when divided by 11. Source: Learning Records
// Service, ULN format.
func ValidULN(s string) bool {
	if len(s) != 10 || !allDigits(s) || s[0] == '0' {
		return false
	}
	sum := 0
	for i := range 10 {
		sum += int(s[i]-'0') * (10 - i)
	}
	return sum%11 == 10
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
