package gateway

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/exchange/recordfile"
	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
)

const csvType = reference.TableType + "; charset=utf-8"

// download is an answer that is sent as it is read: nothing of it is held.
type download struct {
	g       *Gateway
	w       http.ResponseWriter
	r       *http.Request
	rc      *http.ResponseController
	table   bool // CSV, not JSON lines
	written bool
}

// begin makes the headers, before the first byte.
func (d *download) begin(name string) {
	if d.written {
		return
	}
	d.written = true
	h := d.w.Header()
	h.Set("Content-Type", reference.LinesType)
	if d.table {
		h.Set("Content-Type", csvType)
		h.Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	}
	d.w.WriteHeader(http.StatusOK)
}

// Write implements io.Writer. Who does not read is cut off after a while.
func (d *download) Write(b []byte) (int, error) {
	d.g.awaitReader(d.rc)
	return d.w.Write(b)
}

// awaitReader gives the caller so long from now to take in what is written next, and the
// end of the answer. Who does not is cut off.
func (g *Gateway) awaitReader(rc *http.ResponseController) {
	_ = rc.SetWriteDeadline(time.Now().Add(g.options.Patience)) // not every ResponseWriter can
}

// end ends the answer. An error after the beginning must not look like the end: a
// table is broken off, and JSON lines end with the error.
func (d *download) end(err error) {
	d.g.awaitReader(d.rc)
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case !d.written:
		d.g.writeError(d.w, d.r, err)
	case d.table:
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to break a connection off
	default:
		d.g.writeErrorLine(d.w, d.r, err)
	}
}

func (g *Gateway) newDownload(w http.ResponseWriter, r *http.Request) *download {
	return &download{
		g: g, w: w, r: r, rc: http.NewResponseController(w), table: strings.Contains(r.Header.Get("Accept"), reference.TableType),
	}
}

// call makes the context of a call for a download, and checks its address.
func (g *Gateway) call(r *http.Request, method string) (context.Context, error) {
	if err := g.queries[method].check(r.URL.Query()); err != nil {
		return nil, err
	}
	return runtime.AnnotateContext(r.Context(), g.api, r, method)
}

// page is a message of an export.
type page[M proto.Message] interface {
	Recv() (M, error)
}

// export answers one of the exports: open begins the call, and records takes those
// of one of its messages apart.
func export[M proto.Message, R proto.Message](
	g *Gateway, w http.ResponseWriter, r *http.Request, method, name string, header []string, row func(R) []string,
	open func(context.Context) (page[M], error), records func(M) []R,
) {
	d := g.newDownload(w, r)
	ctx, err := g.call(r, method)
	if err != nil {
		d.end(err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := open(ctx)
	if err != nil {
		d.end(err)
		return
	}
	d.end(writePages(d, stream, name, header, row, records))
}

func writePages[M proto.Message, R proto.Message](
	d *download, stream page[M], name string, header []string, row func(R) []string, records func(M) []R,
) error {
	table := csv.NewWriter(d)
	for {
		message, err := stream.Recv()
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if d.table && !d.written {
			_ = table.Write(header) // into its buffer
		}
		d.begin(name)
		if err != nil {
			table.Flush()
			return table.Error()
		}
		for _, one := range records(message) {
			if d.table {
				_ = table.Write(row(one)) // its error stays
				continue
			}
			if err := writeLine(d, one); err != nil {
				return err
			}
		}
		if table.Flush(); table.Error() != nil {
			return table.Error()
		}
		_ = d.rc.Flush()
	}
}

func writeLine(w io.Writer, m proto.Message) error {
	rename(m.ProtoReflect())
	b, err := protojson.Marshal(m)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// exportChildRecords answers GET /v1/agencies/{agency}/childRecords:export.
func (g *Gateway) exportChildRecords(w http.ResponseWriter, r *http.Request, path map[string]string) {
	form := recordfile.ChildRecords()
	export(g, w, r, irtv1.ExportService_ExportChildRecords_FullMethodName, "child-records", form.Columns(),
		func(m *irtv1.ChildRecord) []string { return form.Row(m) },
		func(ctx context.Context) (page[*irtv1.ExportChildRecordsResponse], error) {
			return g.exports.ExportChildRecords(ctx, &irtv1.ExportChildRecordsRequest{Parent: path["parent"]})
		}, (*irtv1.ExportChildRecordsResponse).GetChildRecords)
}

// exportInvolvements answers GET /v1/agencies/{agency}/involvements:export.
func (g *Gateway) exportInvolvements(w http.ResponseWriter, r *http.Request, path map[string]string) {
	form := recordfile.Involvements()
	export(g, w, r, irtv1.ExportService_ExportInvolvements_FullMethodName, "involvements", form.Columns(),
		func(m *irtv1.Involvement) []string { return form.Row(m) },
		func(ctx context.Context) (page[*irtv1.ExportInvolvementsResponse], error) {
			return g.exports.ExportInvolvements(ctx, &irtv1.ExportInvolvementsRequest{Parent: path["parent"]})
		}, (*irtv1.ExportInvolvementsResponse).GetInvolvements)
}

// exportConcerns answers GET /v1/agencies/{agency}/concerns:export.
func (g *Gateway) exportConcerns(w http.ResponseWriter, r *http.Request, path map[string]string) {
	form := recordfile.Concerns()
	export(g, w, r, irtv1.ExportService_ExportConcerns_FullMethodName, "concerns", form.Columns(),
		func(m *irtv1.Concern) []string { return form.Row(m) },
		func(ctx context.Context) (page[*irtv1.ExportConcernsResponse], error) {
			return g.exports.ExportConcerns(ctx, &irtv1.ExportConcernsRequest{Parent: path["parent"]})
		}, (*irtv1.ExportConcernsResponse).GetConcerns)
}

// exportReferrals answers GET /v1/agencies/{agency}/referrals:export.
func (g *Gateway) exportReferrals(w http.ResponseWriter, r *http.Request, path map[string]string) {
	form := recordfile.Referrals()
	export(g, w, r, irtv1.ExportService_ExportReferrals_FullMethodName, "referrals", form.Columns(),
		func(m *irtv1.Referral) []string { return form.Row(m) },
		func(ctx context.Context) (page[*irtv1.ExportReferralsResponse], error) {
			return g.exports.ExportReferrals(ctx, &irtv1.ExportReferralsRequest{Parent: path["parent"]})
		}, (*irtv1.ExportReferralsResponse).GetReferrals)
}

// exportPlans answers GET /v1/agencies/{agency}/plans:export.
func (g *Gateway) exportPlans(w http.ResponseWriter, r *http.Request, path map[string]string) {
	form := recordfile.Plans()
	export(g, w, r, irtv1.ExportService_ExportPlans_FullMethodName, "plans", form.Columns(),
		func(m *irtv1.ProtectionPlan) []string { return form.Row(m) },
		func(ctx context.Context) (page[*irtv1.ExportPlansResponse], error) {
			return g.exports.ExportPlans(ctx, &irtv1.ExportPlansRequest{Parent: path["parent"]})
		}, (*irtv1.ExportPlansResponse).GetPlans)
}

// exportConsents answers GET /v1/agencies/{agency}/consents:export.
func (g *Gateway) exportConsents(w http.ResponseWriter, r *http.Request, path map[string]string) {
	form := recordfile.Consents()
	export(g, w, r, irtv1.ExportService_ExportConsents_FullMethodName, "consents", form.Columns(),
		func(m *irtv1.Consent) []string { return form.Row(m) },
		func(ctx context.Context) (page[*irtv1.ExportConsentsResponse], error) {
			return g.exports.ExportConsents(ctx, &irtv1.ExportConsentsRequest{Parent: path["parent"]})
		}, (*irtv1.ExportConsentsResponse).GetConsents)
}

// exportServices answers GET /v1/agencies/{agency}/services:export.
func (g *Gateway) exportServices(w http.ResponseWriter, r *http.Request, path map[string]string) {
	form := recordfile.Services()
	export(g, w, r, irtv1.ExportService_ExportServices_FullMethodName, "services", form.Columns(),
		func(m *irtv1.Service) []string { return form.Row(m) },
		func(ctx context.Context) (page[*irtv1.ExportServicesResponse], error) {
			return g.exports.ExportServices(ctx, &irtv1.ExportServicesRequest{Parent: path["parent"]})
		}, (*irtv1.ExportServicesResponse).GetServices)
}

// exportAccesses answers GET /v1/children/{child}/accesses:export.
func (g *Gateway) exportAccesses(w http.ResponseWriter, r *http.Request, path map[string]string) {
	export(g, w, r, irtv1.ExportService_ExportAccesses_FullMethodName, "accesses", recordfile.AccessColumns, recordfile.AccessRow,
		func(ctx context.Context) (page[*irtv1.ExportAccessesResponse], error) {
			req := &irtv1.ExportAccessesRequest{Parent: path["parent"]}
			for name, to := range map[string]**timestamppb.Timestamp{"since": &req.Since, "until": &req.Until} {
				if text := r.URL.Query().Get(name); text != "" {
					at, err := time.Parse(time.RFC3339, text)
					if err != nil {
						return nil, rpc.Malformed("the query parameter " + name + " must be a time such as 2026-11-26T09:00:00Z")
					}
					*to = timestamppb.New(at)
				}
			}
			return g.exports.ExportAccesses(ctx, req)
		}, (*irtv1.ExportAccessesResponse).GetAccesses)
}

// exportFindings answers GET /v1/qualityFindings:export.
func (g *Gateway) exportFindings(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	export(g, w, r, irtv1.ExportService_ExportQualityFindings_FullMethodName, "quality-findings", recordfile.FindingColumns, recordfile.FindingRow,
		func(ctx context.Context) (page[*irtv1.ExportQualityFindingsResponse], error) {
			req := &irtv1.ExportQualityFindingsRequest{}
			if err := (queryParser{}).Parse(req, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
				return nil, rpc.Malformed(err.Error())
			}
			return g.exports.ExportQualityFindings(ctx, req)
		}, (*irtv1.ExportQualityFindingsResponse).GetFindings)
}

// downloadRejects answers GET /v1/agencies/{agency}/imports/{import}/rejects:download.
func (g *Gateway) downloadRejects(w http.ResponseWriter, r *http.Request, path map[string]string) {
	d := g.newDownload(w, r)
	d.table = true
	ctx, err := g.call(r, irtv1.ImportService_DownloadImportRejects_FullMethodName)
	if err != nil {
		d.end(err)
		return
	}
	stream, err := g.imports.DownloadImportRejects(ctx, &irtv1.DownloadImportRejectsRequest{Parent: path["parent"]})
	d.end(copyChunks(d, stream, err))
}

func copyChunks(d *download, stream grpc.ServerStreamingClient[irtv1.DownloadImportRejectsResponse], err error) error {
	for err == nil {
		var part *irtv1.DownloadImportRejectsResponse
		if part, err = stream.Recv(); err != nil {
			break
		}
		d.begin("rejects")
		_, err = d.Write(part.GetChunk())
	}
	return err
}

// template answers GET /v1/importTemplates/{template} with the file itself, where
// that is asked for.
func (g *Gateway) template(w http.ResponseWriter, r *http.Request, path map[string]string) {
	d := g.newDownload(w, r)
	ctx, err := g.call(r, irtv1.ImportService_GetImportTemplate_FullMethodName)
	if err != nil {
		d.end(err)
		return
	}
	t, err := g.imports.GetImportTemplate(ctx, &irtv1.GetImportTemplateRequest{Name: path["name"]})
	if err != nil {
		d.end(err)
		return
	}
	if !d.table {
		_, codec := runtime.MarshalerForRequest(g.api, r)
		runtime.ForwardResponseMessage(ctx, g.api, codec, w, r, t, g.api.GetForwardResponseOptions()...)
		return
	}
	d.begin(strings.TrimPrefix(t.GetName(), "importTemplates/"))
	_, err = io.WriteString(d, t.GetContent())
	d.end(err)
}
