package match

// Person is what one record says about a child, as it was sent: nothing needs
// to be trimmed, cased or checked before Prepare. Every field may be empty.
type Person struct {
	GivenName          string
	MiddleNames        string
	FamilyName         string
	PreferredGivenName string
	FormerFamilyNames  []string
	// DateOfBirth is YYYY-MM-DD; YYYY-MM and YYYY are kept as partial dates.
	DateOfBirth string
	// Sex is F, M or U (not known or not specified). Other values count as U.
	Sex          string
	Postcode     string
	AddressLines []string
	Telephones   []string
	Emails       []string
	// NHSNumber counts only when its check digit is right.
	NHSNumber string
	UPN       string
	// Identifier is any other number that should be one person's alone. It is
	// evidence, but no hard rule rests on it, because its issuer is unknown.
	Identifier string
	// Other is any further text worth comparing, such as a place of birth.
	Other string
}

// Name is one normalised name.
type Name struct {
	// Joined is the whole name folded to lower case without spaces, hyphens
	// or apostrophes, with Mac written Mc: the form compared for equality.
	Joined string
	// Words are the parts of a name that has several; nil for a single word.
	Words []string
	// Sound is the phonetic code of Joined; see sound.
	Sound uint64
	// Letters has a bit for each letter that occurs in Joined, all bits for
	// names not in Latin letters: the cheap test before a string metric.
	Letters uint32
	// Groups are the nickname and spelling groups the name belongs to.
	Groups []uint16
}

// Features is a record prepared for comparison. It is a plain value that
// Prepare rebuilds from the stored Person; do not store it: what is in it may
// change with the version of this package.
type Features struct {
	// Given holds the given name and, when another, the preferred one. Empty
	// when unknown or a placeholder such as "Baby".
	Given []Name
	// Placeholder says that the given name was a stand-in for a newborn.
	Placeholder bool
	Middle      []string
	// Family holds the current family name, then former ones.
	Family []Name
	Born   Date
	Sex    byte // 'F', 'M' or 0 when unknown
	// Postcode is upper case without the space; empty when unknown, malformed
	// beyond use, or one of the pseudo-postcodes (ZZ99…).
	Postcode string
	Address  Address
	// Telephones are the last ten digits, read as numbers.
	Telephones []uint64
	Emails     []string
	// NHS is the NHS number, 0 when absent or its check digit is wrong.
	NHS        uint64
	UPN        string
	Identifier string
	Other      string
}

// Prepare normalises a record once, for Keys, Score and Decide. Equal input
// gives equal Features.
func Prepare(p Person) Features {
	f := Features{
		Middle:     words(fold(p.MiddleNames)),
		Born:       parseDate(p.DateOfBirth),
		Sex:        sexOf(p.Sex),
		Postcode:   normalPostcode(p.Postcode),
		Address:    parseAddress(p.AddressLines),
		Telephones: telephones(p.Telephones),
		Emails:     emails(p.Emails),
		NHS:        nhsNumber(p.NHSNumber),
		UPN:        normalUPN(p.UPN),
		Identifier: compact(p.Identifier),
		Other:      fold(p.Other),
	}
	f.Given, f.Placeholder = givenNames(p.GivenName, p.PreferredGivenName)
	f.Family = familyNames(p.FamilyName, p.FormerFamilyNames)
	return f
}

func sexOf(s string) byte {
	switch fold(s) {
	case "f", "female", "2":
		return 'F'
	case "m", "male", "1":
		return 'M'
	}
	return 0
}
