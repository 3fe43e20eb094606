package main

import (
	"context"
	"fmt"
	"strings"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
)

// qualityCommand holds the commands about what is missing or at odds.
type qualityCommand struct {
	Report qualityReportCommand `cmd:"" help:"Write what is missing, doubled or at odds as CSV."`
}

type qualityReportCommand struct {
	clientFlags

	Agency string   `placeholder:"ID" help:"Only of this agency's records (default: of all that the token may see)."`
	Kind   []string `placeholder:"KIND,…" help:"Only these kinds, such as unmatched or several_without_lead (default: all that the token may see)."`
}

// Help is shown by irthub quality report --help.
func (qualityReportCommand) Help() string {
	return `Writes a line for every finding: its kind, the child, the agency's record, the rules broken. About records: no_nhs_number, no_school, no_gp_practice, address_differs, suspected_duplicate, query, unmatched. About children, for data managers (gaps and duplications): several_without_lead, several_with_lead, involved_twice, no_involvement. It is written as it is read, so that a large report needs no memory.

Examples:

  irthub quality report > findings.csv
  irthub quality report --kind several_without_lead,involved_twice > gaps.csv`
}

const findingPrefix = "QUALITY_FINDING_KIND_"

// Run writes the report.
func (c *qualityReportCommand) Run(ctx context.Context, s streams) error {
	kinds, err := c.kinds()
	if err != nil {
		return err
	}
	conn, err := c.dial("DATA_QUALITY")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is left to send
	req := &irtv1.ExportQualityFindingsRequest{Kinds: kinds}
	if c.Agency != "" {
		req.Agency = "agencies/" + c.Agency
	}
	stream, err := irtv1.NewExportServiceClient(conn).ExportQualityFindings(ctx, req)
	if err != nil {
		return failure("exporting", err)
	}
	return writeExport(newExport(s.out, true, recordfile.FindingColumns), stream.Recv,
		(*irtv1.ExportQualityFindingsResponse).GetFindings, recordfile.FindingRow)
}

// kinds are those asked for; none for all that the token may see.
func (c *qualityReportCommand) kinds() ([]irtv1.QualityFindingKind, error) {
	var kinds []irtv1.QualityFindingKind
	for _, name := range c.Kind {
		kind, ok := irtv1.QualityFindingKind_value[findingPrefix+strings.ToUpper(name)]
		if !ok || kind == 0 {
			return nil, usage(fmt.Errorf("--kind: no kind %q", name))
		}
		kinds = append(kinds, irtv1.QualityFindingKind(kind))
	}
	return kinds, nil
}
