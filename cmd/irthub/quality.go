package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	irtv1 "irthub/gen/irt/v1"
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
	return `Writes a line for every finding: its kind, the child, the agency's record, the rules broken. About records: no_nhs_number, no_school, no_gp_practice, address_differs, suspected_duplicate, query, unmatched. About children, for data managers (gaps and duplications): several_without_lead, several_with_lead, involved_twice, no_involvement. Pages are fetched as they are written, so that a large report needs no memory.

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
	w := csv.NewWriter(s.out)
	if err := w.Write([]string{"kind", "child", "child_record", "rules"}); err != nil {
		return err
	}
	client := irtv1.NewQualityServiceClient(conn)
	for _, kind := range kinds {
		if err := c.write(ctx, client, w, kind); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// kinds are those asked for, or those that the token may see.
func (c *qualityReportCommand) kinds() ([]irtv1.QualityFindingKind, error) {
	var kinds []irtv1.QualityFindingKind
	for _, name := range c.Kind {
		kind, ok := irtv1.QualityFindingKind_value[findingPrefix+strings.ToUpper(name)]
		if !ok || kind == 0 {
			return nil, usage(fmt.Errorf("--kind: no kind %q", name))
		}
		kinds = append(kinds, irtv1.QualityFindingKind(kind))
	}
	if len(kinds) > 0 {
		return kinds, nil
	}
	for kind := irtv1.QualityFindingKind_QUALITY_FINDING_KIND_NO_NHS_NUMBER; irtv1.QualityFindingKind_name[int32(kind)] != ""; kind++ {
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// write writes one kind, page after page. A kind that was not asked for by name
// and that the token may not see is left out.
func (c *qualityReportCommand) write(ctx context.Context, client irtv1.QualityServiceClient, w *csv.Writer, kind irtv1.QualityFindingKind) error {
	req := &irtv1.ListQualityFindingsRequest{Kind: kind, PageSize: 1000}
	if c.Agency != "" {
		req.Agency = "agencies/" + c.Agency
	}
	name := strings.ToLower(strings.TrimPrefix(kind.String(), findingPrefix))
	for {
		page, err := client.ListQualityFindings(ctx, req)
		if grpcstatus.Code(err) == codes.PermissionDenied && len(c.Kind) == 0 && ofChildren(kind) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, f := range page.GetFindings() {
			if err := w.Write([]string{name, f.GetChild(), f.GetChildRecord(), strings.Join(f.GetRuleIds(), " ")}); err != nil {
				return err
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.GetPageToken() == "" {
			return nil
		}
	}
}

// ofChildren tells the kinds about children, which are for data managers.
func ofChildren(kind irtv1.QualityFindingKind) bool {
	return kind >= irtv1.QualityFindingKind_QUALITY_FINDING_KIND_SEVERAL_WITHOUT_LEAD
}
