package accesses

import (
	"path"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/accesslog"
	"irthub/internal/agencies"
	"irthub/internal/identity"
	"irthub/internal/standard"
)

// aSensitiveService stands for the name of one where it may not be told.
const aSensitiveService = "a sensitive service"

var decisions = map[string]irtv1.AccessDecision{
	"ALLOWED": irtv1.AccessDecision_ACCESS_DECISION_ALLOWED,
	"DENIED":  irtv1.AccessDecision_ACCESS_DECISION_DENIED,
	"FAILED":  irtv1.AccessDecision_ACCESS_DECISION_FAILED,
}

// message is an entry as its caller sees it. What is not said to be shown is not.
func (s *Service) message(v view, l *accesslog.Listed) *irtv1.Access {
	role, _ := identity.ParseRole(l.Role)
	purpose, _ := identity.ParsePurpose(l.Purpose)
	m := &irtv1.Access{
		Name: accessName(l.ID), AccessTime: timestamppb.New(l.Time), Role: role, Purpose: purpose,
		Method: path.Base(l.Method), Decision: decisions[l.Decision], WithheldBy: l.Withheld, LeafIndex: l.Index,
	}
	s.who(v, l, m)
	switch {
	case v.whole:
		m.Reason, m.Query, m.ClientAddress, m.Returned = l.Reason, l.Query, l.ClientAddress, l.Returned
		for _, child := range l.Children {
			m.Children = append(m.Children, "children/"+standard.FormatChildID(child))
		}
	case v.own:
		m.Returned = l.Returned
	case v.family:
		m.WithheldBy = nil
		m.Description = describe(m, len(l.Withheld) > 0)
		if strings.Contains(m.GetMethod(), "Shield") { // as doings says
			m.Method = ""
		}
	}
	return m
}

// who says who it was, as far as the caller may know.
func (s *Service) who(v view, l *accesslog.Listed, m *irtv1.Access) {
	agency, known := s.directory.Get(l.Agency)
	if agency.Sensitive && !v.mayName(l.Agency) {
		m.AgencyDisplayName = aSensitiveService
		return
	}
	m.Agency, m.AgencyDisplayName = agencies.Name(l.Agency), agency.DisplayName
	if !known {
		m.AgencyDisplayName = l.Agency
	}
	if l.Practitioner != "" {
		m.Practitioner = agencies.PractitionerName(l.Agency, l.Practitioner)
	}
	if other, _, ok := agencies.ParsePractitionerName(l.OnBehalfOf); ok {
		if a, _ := s.directory.Get(other); a.Sensitive && !v.mayName(other) {
			m.OnBehalfOf = aSensitiveService
			return
		}
	}
	m.OnBehalfOf = l.OnBehalfOf
}

// parts are who acts in a role, for a family; the agency's name follows.
var parts = map[irtv1.Role]string{
	irtv1.Role_ROLE_AGENCY_SYSTEM: "the computer system of",
	irtv1.Role_ROLE_PRACTITIONER:  "a practitioner of",
	irtv1.Role_ROLE_DATA_MANAGER:  "a data manager, who keeps the index correct, at",
	irtv1.Role_ROLE_AUDITOR:       "an auditor, who checks who looked at what, at",
	irtv1.Role_ROLE_MEDIATOR:      "a mediator, who acts for a practitioner, at",
	irtv1.Role_ROLE_HUB_OPERATOR:  "an operator of the index at",
}

// purposes are the stated purposes, for a family.
var purposes = map[irtv1.Purpose]string{
	irtv1.Purpose_PURPOSE_DIRECT_CARE:      "to provide care or a service to the child",
	irtv1.Purpose_PURPOSE_SAFEGUARDING:     "to keep the child safe and well (safeguarding)",
	irtv1.Purpose_PURPOSE_EARLY_HELP:       "to offer help early, before needs become acute",
	irtv1.Purpose_PURPOSE_EDUCATION:        "for the child's education",
	irtv1.Purpose_PURPOSE_DATA_QUALITY:     "to keep the index correct",
	irtv1.Purpose_PURPOSE_AUDIT:            "to check who looked at what",
	irtv1.Purpose_PURPOSE_SUBJECT_ACCESS:   "to answer somebody's request for their own data",
	irtv1.Purpose_PURPOSE_UNSCHEDULED_CARE: "to care for the child without having planned it (an emergency department, an ambulance)",
	irtv1.Purpose_PURPOSE_EMERGENCY:        "because of an immediate risk of serious harm",
}

// doings are the methods, for a family: what was done, and what there was to see.
var doings = map[string]struct{ did, saw string }{
	"GetChild":                 {"looked at the child's entry in the index", "the child's entry, which holds basic details and which agencies have a record"},
	"LookupChild":              {"looked the child up by a number", "the child's entry in the index"},
	"SearchChildren":           {"searched the index and found the child", "enough of the child's details to recognise the child by"},
	"ListChildVersions":        {"looked at earlier versions of the child's entry", "the child's entry as it was before"},
	"GetChildRecord":           {"looked at an agency's record of the child", "that record: basic details, no case notes"},
	"ListChildRecords":         {"listed agencies' records of the child", "those records: basic details, no case notes"},
	"SubmitChildRecord":        {"sent its record of the child", ""},
	"SubmitChildRecords":       {"sent its record of the child", ""},
	"CreateImport":             {"sent its record of the child, in a file", ""},
	"WithdrawChildRecord":      {"withdrew its record of the child", ""},
	"MatchChild":               {"compared a record with the index, without keeping it", "whether the child may be the same as in the record"},
	"ListMatchReviews":         {"looked at entries that may be of one child", "that the child's entry may be of the same child as another"},
	"GetMatchReview":           {"compared the child's entry with another that may be of the same child", "both entries and the records behind them: basic details, no case notes"},
	"ClaimMatchReview":         {"began to work out whether two entries are of one child", ""},
	"ReleaseMatchReview":       {"left it to others to work out whether two entries are of one child", ""},
	"ResolveMatchReview":       {"decided whether two entries are of one child", ""},
	"MergeChildren":            {"made one entry of two that are of one child", "the child's entry in the index"},
	"SplitChildRecord":         {"took records of another child out of the child's entry", "the child's entry in the index"},
	"ExplainMatch":             {"looked at why records were found to be the child's", "how well the records agree, not what they say"},
	"ListMatchConstraints":     {"looked at what was decided about the child's records", "which records were found to be of one child or not"},
	"RevokeMatchConstraint":    {"took back what was decided about two records", ""},
	"PinChildField":            {"said which value of a detail is the right one", "that detail"},
	"UnpinChildField":          {"left it to the records again which value of a detail is the right one", "that detail"},
	"ListChildPins":            {"looked at which details had been set by hand", "those details"},
	"RematchRecords":           {"matched the records again, to keep the index correct", ""},
	"ListInvolvements":         {"looked at who works with the child", "which agencies and practitioners work with the child"},
	"GetInvolvement":           {"looked at who works with the child", "which practitioner works with the child"},
	"SubmitInvolvement":        {"said that it works with the child", ""},
	"EndInvolvement":           {"said that it no longer works with the child", ""},
	"SetLeadProfessional":      {"said who is the child's lead professional", ""},
	"NominateLeadProfessional": {"asked somebody to become the child's lead professional", ""},
	"AcceptLeadNomination":     {"agreed to become the child's lead professional", ""},
	"DeclineLeadNomination":    {"declined to become the child's lead professional", ""},
	"WithdrawLeadNomination":   {"took back that somebody was asked to become the child's lead professional", ""},
	"GetLeadNomination":        {"looked at who was asked to become the child's lead professional", "who was asked, and the answer"},
	"ListLeadNominations":      {"looked at who was asked to become the child's lead professional", "who was asked, and the answers"},
	"SubmitPlan":               {"said that the child is on a plan of social care", ""},
	"EndPlan":                  {"ended a plan of social care for the child", ""},
	"GetPlan":                  {"looked at whether the child is on a plan of social care", "the plan's kind and dates, and whom to ring"},
	"ListPlans":                {"looked at whether the child is on a plan of social care", "plans' kinds and dates, and whom to ring"},
	"ListAccesses":             {"looked at who had looked at the child's entry", "the list of accesses"},
	"ReviewEmergencyAccess":    {"reviewed an emergency access to the child's entry", ""},
	"ProveEntry":               {"had an access to the child's entry proved", "that access"},
}

// describe says an access in words that a family can read: when, who, what, why and
// what was seen.
func describe(m *irtv1.Access, withheld bool) string {
	var b strings.Builder
	b.WriteString("On " + m.GetAccessTime().AsTime().Format("2 January 2006 at 15:04") + " (Greenwich Mean Time), ")
	part := parts[m.GetRole()]
	if part == "" {
		part = "somebody of"
	}
	doing, known := doings[m.GetMethod()]
	if !known {
		doing.did = "used the index for something about the child (" + m.GetMethod() + ")"
	}
	b.WriteString(part + " " + m.GetAgencyDisplayName() + " ")
	if m.GetDecision() != irtv1.AccessDecision_ACCESS_DECISION_ALLOWED {
		b.WriteString("asked for something about the child")
	} else {
		b.WriteString(doing.did)
	}
	if why := purposes[m.GetPurpose()]; why != "" {
		b.WriteString(", " + why)
	}
	b.WriteString(".")
	switch {
	case m.GetDecision() == irtv1.AccessDecision_ACCESS_DECISION_DENIED:
		b.WriteString(" The index refused it, and nothing was shown.")
	case m.GetDecision() == irtv1.AccessDecision_ACCESS_DECISION_FAILED:
		b.WriteString(" It failed, and nothing was shown.")
	case doing.saw != "":
		b.WriteString(" Shown: " + doing.saw + ".")
	}
	if withheld {
		b.WriteString(" Some information was held back.")
	}
	return b.String()
}
