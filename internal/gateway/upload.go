package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	irtv1 "irthub/gen/irt/v1"
	"irthub/internal/gateway/reference"
	"irthub/internal/rpc"
	"irthub/internal/standard"
)

const (
	// uploadChunk is how much of a file travels in one message. One chunk at a time
	// is in memory.
	uploadChunk = 256 << 10
	// sendAfter is after how long a chunk goes on its way that is not full: the service
	// ends an upload of which nothing comes, and is to see that a slow one moves.
	sendAfter = time.Second
	// maxFormField bounds what comes before the file in a form, in bytes.
	maxFormField = 64 << 10
)

// upload answers POST /v1/agencies/{agency}/imports: the file, the raw body or
// the first file of a form, goes to CreateImport as it arrives. The service sets
// the pace: nothing is read before it has taken what was read before.
func (g *Gateway) upload(w http.ResponseWriter, r *http.Request, path map[string]string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel() // a service that still waits for the rest of a broken file hears of it
	ctx, err := runtime.AnnotateContext(ctx, g.api, r, irtv1.ImportService_CreateImport_FullMethodName)
	if err != nil {
		g.writeError(w, r, err)
		return
	}
	answer, md, err := g.createImport(ctx, w, r, path["parent"])
	ctx = runtime.NewServerMetadataContext(ctx, md)
	if err != nil {
		cancel()
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // so that a client still sending sees the answer
		g.handleError(ctx, g.api, nil, w, r, err)
		return
	}
	_, codec := runtime.MarshalerForRequest(g.api, r)
	runtime.ForwardResponseMessage(ctx, g.api, codec, w, r, answer, g.api.GetForwardResponseOptions()...)
}

func (g *Gateway) createImport(
	ctx context.Context, w http.ResponseWriter, r *http.Request, parent string,
) (answer *irtv1.Import, md runtime.ServerMetadata, err error) {
	header, err := g.importHeader(r, parent)
	if err != nil {
		return nil, md, err
	}
	stream, err := g.imports.CreateImport(ctx, grpc.Header(&md.HeaderMD))
	if err != nil {
		return nil, md, err
	}
	err = stream.Send(&irtv1.CreateImportRequest{Part: &irtv1.CreateImportRequest_Header{Header: header}})
	if err == nil {
		err = g.sendFile(stream, w, r)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, md, err
	}
	// Either all is sent, or the service has ended the call: its answer says why.
	answer, err = stream.CloseAndRecv()
	return answer, md, err
}

// importHeader reads what is being uploaded from the address.
func (g *Gateway) importHeader(r *http.Request, parent string) (*irtv1.ImportHeader, error) {
	query := r.URL.Query()
	if err := g.queries[irtv1.ImportService_CreateImport_FullMethodName].check(query); err != nil {
		return nil, err
	}
	format, ok := importFormat(query.Get("format"))
	if !ok {
		return nil, rpc.Malformed("the query parameter format must be one of " + strings.Join(formatNames(), ", "))
	}
	header := &irtv1.ImportHeader{Parent: parent, Format: format}
	if v := query.Get("validateOnly") + query.Get("validate_only"); v != "" {
		only, err := strconv.ParseBool(v)
		if err != nil {
			return nil, rpc.Malformed("the query parameter validateOnly must be true or false")
		}
		header.ValidateOnly = only
	}
	header.Import = query.Get("import")
	if r.ContentLength > 0 && !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		header.Size = r.ContentLength
	}
	return header, nil
}

// formatNames are the names that formats have in addresses, in their order:
// IMPORT_FORMAT_SCHOOL_COHORT is school-cohort there.
func formatNames() (names []string) {
	all := irtv1.ImportFormat(0).Descriptor().Values()
	for i := 1; i < all.Len(); i++ { // the first is none
		names = append(names, strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(string(all.Get(i).Name()), "IMPORT_FORMAT_"), "_", "-")))
	}
	return names
}

// importFormat is a format by the name it has in addresses, or by its own, in any case.
func importFormat(name string) (irtv1.ImportFormat, bool) {
	value := standard.EnumValue(irtv1.ImportFormat(0).Descriptor(), strings.ReplaceAll(name, "-", "_"))
	if value == nil || value.Number() == 0 {
		return 0, false
	}
	return irtv1.ImportFormat(value.Number()), true
}

// sendFile sends the file in chunks. io.EOF means that the service has ended the
// call early. The service alone says how large a file may be, so that it has failed
// for that reason whichever way it came.
func (g *Gateway) sendFile(stream grpc.ClientStreamingClient[irtv1.CreateImportRequest, irtv1.Import], w http.ResponseWriter, r *http.Request) error {
	body := &steadyReader{Reader: r.Body, rc: http.NewResponseController(w), patience: g.options.Patience}
	file, err := fileOf(body, r.Header)
	if err != nil {
		return err
	}
	for {
		chunk := make([]byte, uploadChunk) // the message is handed over, so each needs its own
		n, err := fill(chunk, file)
		if n > 0 {
			part := &irtv1.CreateImportRequest_Chunk{Chunk: chunk[:n]}
			if err := stream.Send(&irtv1.CreateImportRequest{Part: part}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			body.allow(0)
			return nil
		}
		if err != nil {
			return errBody(err)
		}
	}
}

// fill reads until the buffer is full, or for as long as sendAfter. io.EOF is the file's
// own end; unlike io.ReadFull it keeps that apart from an upload that broke off.
func fill(buf []byte, r io.Reader) (n int, err error) {
	for began := time.Now(); n < len(buf) && err == nil && (n == 0 || time.Since(began) < sendAfter); {
		var more int
		more, err = r.Read(buf[n:])
		n += more
	}
	return n, err
}

// fileOf finds the file in a body: all of it, or the first file of a form.
func fileOf(body io.Reader, h http.Header) (io.Reader, error) {
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if enc := h.Get("Content-Encoding"); enc != "" && enc != "identity" {
		err = errors.New("encoded")
	}
	switch {
	case err != nil:
	case slices.Contains(reference.FileTypes, mediaType):
		return body, nil
	case mediaType == "multipart/form-data" && params["boundary"] != "":
		return firstFile(multipart.NewReader(body, params["boundary"]))
	}
	return nil, errMediaType("a file is sent as it is with Content-Type: text/csv (application/x-ndjson, application/xml), or as a form with multipart/form-data, and without Content-Encoding")
}

func firstFile(form *multipart.Reader) (io.Reader, error) {
	for {
		part, err := form.NextRawPart()
		if err != nil {
			return nil, rpc.Malformed("the form holds no file; curl sends one with -F file=@name.csv")
		}
		if part.FileName() != "" || part.FormName() == "file" {
			return part, nil
		}
		if n, _ := io.CopyN(io.Discard, part, maxFormField); n == maxFormField {
			return nil, rpc.Malformed("the form has a large field before the file; send the file first")
		}
	}
}

// steadyReader reads a body that may take as long as it likes, as long as it
// moves.
type steadyReader struct {
	io.Reader
	rc       *http.ResponseController
	patience time.Duration
}

// Read implements io.Reader.
func (s *steadyReader) Read(p []byte) (int, error) {
	s.allow(s.patience)
	return s.Reader.Read(p)
}

// allow gives the connection so much time from now to go on; 0 is any time.
func (s *steadyReader) allow(d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = s.rc.SetReadDeadline(deadline) // not every ResponseWriter can
}
