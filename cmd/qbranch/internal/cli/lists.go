package cli

import (
	"encoding"
	"encoding/json"
	"reflect"
)

// withLists is v with an empty list wherever there is none, at any depth: that is
// how all JSON here has it, so that a reader never meets a null it has to guard
// against. What v points to stays as it is.
func withLists(v any) any {
	if v == nil {
		return nil
	}
	out := reflect.New(reflect.TypeOf(v)).Elem()
	out.Set(reflect.ValueOf(v))
	fillLists(out)
	return out.Interface()
}

// fillLists does that to a value that may be set.
func fillLists(v reflect.Value) {
	if ownJSON(v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() || f.Anonymous && f.Type.Kind() == reflect.Struct {
				fillLists(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return // bytes are a text in JSON
		}
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(list, v)
		for i := range list.Len() {
			fillLists(list.Index(i))
		}
		v.Set(list)
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		inner := reflect.New(v.Elem().Type())
		inner.Elem().Set(v.Elem())
		fillLists(inner.Elem())
		if v.Kind() == reflect.Interface {
			inner = inner.Elem()
		}
		v.Set(inner)
	case reflect.Map:
		if v.IsNil() {
			return
		}
		all := reflect.MakeMapWithSize(v.Type(), v.Len())
		for key, value := range v.Seq2() {
			inner := reflect.New(v.Type().Elem()).Elem()
			inner.Set(value)
			fillLists(inner)
			all.SetMapIndex(key, inner)
		}
		v.Set(all)
	}
}

// ownJSON reports whether a type writes itself.
func ownJSON(t reflect.Type) bool {
	for _, i := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(i) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}
