package identity

import (
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	irtv1 "irthub/gen/irt/v1"
)

// infrastructure are the services that are public though they are not ours.
var infrastructure = []string{
	"/grpc.health.v1.Health/",
	"/grpc.reflection.v1.ServerReflection/",
	"/grpc.reflection.v1alpha.ServerReflection/",
}

// Access says who may call a method, such as "/irt.v1.ChildService/GetChild": its
// (irt.v1.access) option. A method of the schema without the option may be called
// by nobody. known is false for methods that no schema of this binary has.
func Access(fullMethod string) (access *irtv1.MethodAccess, known bool) {
	if a, ok := accesses()[fullMethod]; ok {
		return a, true
	}
	if slices.ContainsFunc(infrastructure, func(s string) bool { return strings.HasPrefix(fullMethod, s) }) {
		return &irtv1.MethodAccess{Public: true}, true
	}
	return nil, false
}

// accesses reads the schema once.
var accesses = sync.OnceValue(func() map[string]*irtv1.MethodAccess {
	all := map[string]*irtv1.MethodAccess{}
	protoregistry.GlobalFiles.RangeFilesByPackage("irt.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				all["/"+string(service.FullName())+"/"+string(m.Name())] = methodAccess(m)
			}
		}
		return true
	})
	return all
})

func methodAccess(m protoreflect.MethodDescriptor) *irtv1.MethodAccess {
	if access, ok := proto.GetExtension(m.Options(), irtv1.E_Access).(*irtv1.MethodAccess); ok && access != nil {
		return access
	}
	return &irtv1.MethodAccess{} // nobody
}
