package main

import (
	"context"
	"encoding/csv"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
)

type exportCommand struct {
	ChildRecords exportRecordsCommand      `cmd:"" help:"An agency's child records that are in force."`
	Involvements exportInvolvementsCommand `cmd:"" help:"An agency's involvements, also those that have ended."`
	Concerns     exportConcernsCommand     `cmd:"" help:"The concerns that an agency shared, also closed ones."`
	Referrals    exportReferralsCommand    `cmd:"" help:"The referrals that an agency sent, in whatever state."`
	Plans        exportPlansCommand        `cmd:"" help:"An agency's plans, also those that have ended."`
	Consents     exportConsentsCommand     `cmd:"" help:"The consents that an agency recorded, also those that have ended or were withdrawn."`
	Services     exportServicesCommand     `cmd:"" help:"An agency's services, also those that are not in use."`
	Accesses     exportAccessesCommand     `cmd:"" help:"The accesses to a child, as far as you may see them."`
}

// exportFlags are those of every export.
type exportFlags struct {
	clientFlags

	Purpose string `placeholder:"CODE" default:"DATA_QUALITY" help:"Why: a code of the purpose list (default: DATA_QUALITY)."`
	CSV     bool   `name:"csv" help:"A table instead of one JSON object a line; those of an agency's own in the form of the import template."`
}

// exportOwnFlags are those of what an agency gets back of its own.
type exportOwnFlags struct {
	exportFlags

	Agency string `placeholder:"ID" default:"-" help:"The agency (default: the token's own)."`
}

// exportOwn writes what an agency gets back to standard output, in the form of the
// import template where a table is asked for.
func exportOwn[Page any, R proto.Message](
	s streams, f *exportOwnFlags, form *recordfile.Form,
	open func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[Page], error), records func(*Page) []R,
) error {
	conn, err := f.dial(f.Purpose)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := open(irtv1.NewExportServiceClient(conn), "agencies/"+f.Agency)
	if err != nil {
		return failure("exporting", err)
	}
	return writeExport(newExport(s.out, f.CSV, form.Columns()), stream.Recv, records, func(m R) []string { return form.Row(m) })
}

type exportRecordsCommand struct{ exportOwnFlags }

// Run writes the records to standard output.
func (c *exportRecordsCommand) Run(ctx context.Context, s streams) error {
	return exportOwn(s, &c.exportOwnFlags, recordfile.ChildRecords(),
		func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[irtv1.ExportChildRecordsResponse], error) {
			return client.ExportChildRecords(ctx, &irtv1.ExportChildRecordsRequest{Parent: parent})
		}, (*irtv1.ExportChildRecordsResponse).GetChildRecords)
}

type exportInvolvementsCommand struct{ exportOwnFlags }

// Run writes the involvements to standard output.
func (c *exportInvolvementsCommand) Run(ctx context.Context, s streams) error {
	return exportOwn(s, &c.exportOwnFlags, recordfile.Involvements(),
		func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[irtv1.ExportInvolvementsResponse], error) {
			return client.ExportInvolvements(ctx, &irtv1.ExportInvolvementsRequest{Parent: parent})
		}, (*irtv1.ExportInvolvementsResponse).GetInvolvements)
}

type exportConcernsCommand struct{ exportOwnFlags }

// Run writes the concerns to standard output.
func (c *exportConcernsCommand) Run(ctx context.Context, s streams) error {
	return exportOwn(s, &c.exportOwnFlags, recordfile.Concerns(),
		func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[irtv1.ExportConcernsResponse], error) {
			return client.ExportConcerns(ctx, &irtv1.ExportConcernsRequest{Parent: parent})
		}, (*irtv1.ExportConcernsResponse).GetConcerns)
}

type exportReferralsCommand struct{ exportOwnFlags }

// Run writes the referrals to standard output.
func (c *exportReferralsCommand) Run(ctx context.Context, s streams) error {
	return exportOwn(s, &c.exportOwnFlags, recordfile.Referrals(),
		func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[irtv1.ExportReferralsResponse], error) {
			return client.ExportReferrals(ctx, &irtv1.ExportReferralsRequest{Parent: parent})
		}, (*irtv1.ExportReferralsResponse).GetReferrals)
}

type exportPlansCommand struct{ exportOwnFlags }

// Run writes the plans to standard output.
func (c *exportPlansCommand) Run(ctx context.Context, s streams) error {
	return exportOwn(s, &c.exportOwnFlags, recordfile.Plans(),
		func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[irtv1.ExportPlansResponse], error) {
			return client.ExportPlans(ctx, &irtv1.ExportPlansRequest{Parent: parent})
		}, (*irtv1.ExportPlansResponse).GetPlans)
}

type exportConsentsCommand struct{ exportOwnFlags }

// Run writes the consents to standard output.
func (c *exportConsentsCommand) Run(ctx context.Context, s streams) error {
	return exportOwn(s, &c.exportOwnFlags, recordfile.Consents(),
		func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[irtv1.ExportConsentsResponse], error) {
			return client.ExportConsents(ctx, &irtv1.ExportConsentsRequest{Parent: parent})
		}, (*irtv1.ExportConsentsResponse).GetConsents)
}

type exportServicesCommand struct{ exportOwnFlags }

// Run writes the services to standard output.
func (c *exportServicesCommand) Run(ctx context.Context, s streams) error {
	return exportOwn(s, &c.exportOwnFlags, recordfile.Services(),
		func(client irtv1.ExportServiceClient, parent string) (grpc.ServerStreamingClient[irtv1.ExportServicesResponse], error) {
			return client.ExportServices(ctx, &irtv1.ExportServicesRequest{Parent: parent})
		}, (*irtv1.ExportServicesResponse).GetServices)
}

type exportAccessesCommand struct {
	exportFlags

	Child string `arg:"" help:"The child: children/…."`
}

// Run writes the accesses to standard output.
func (c *exportAccessesCommand) Run(ctx context.Context, s streams) error {
	conn, err := c.dial(c.Purpose)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := irtv1.NewExportServiceClient(conn).ExportAccesses(ctx, &irtv1.ExportAccessesRequest{Parent: c.Child})
	if err != nil {
		return failure("exporting", err)
	}
	w := newExport(s.out, c.CSV, recordfile.AccessColumns)
	return writeExport(w, stream.Recv, (*irtv1.ExportAccessesResponse).GetAccesses, recordfile.AccessRow)
}

// export is what is written: a table, or one JSON object a line.
type export struct {
	out    io.Writer
	table  *csv.Writer // nil: JSON
	header []string
}

func newExport(out io.Writer, table bool, header []string) *export {
	e := &export{out: out, header: header}
	if table {
		e.table = csv.NewWriter(out)
	}
	return e
}

func writeExport[M any, R proto.Message](e *export, receive func() (M, error), records func(M) []R, row func(R) []string) error {
	if e.table != nil {
		if err := e.table.Write(e.header); err != nil {
			return err
		}
	}
	for {
		page, err := receive()
		if errors.Is(err, io.EOF) {
			return e.flush()
		}
		if err != nil {
			return failure("exporting: what was written so far is not all", err)
		}
		for _, one := range records(page) {
			if err := e.write(one, func() []string { return row(one) }); err != nil {
				return err
			}
		}
	}
}

func (e *export) write(m proto.Message, row func() []string) error {
	if e.table != nil {
		return e.table.Write(row())
	}
	b, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	_, err = e.out.Write(append(b, '\n'))
	return err
}

func (e *export) flush() error {
	if e.table == nil {
		return nil
	}
	e.table.Flush()
	return e.table.Error()
}
