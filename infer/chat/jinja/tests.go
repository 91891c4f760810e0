package jinja

// test runs a test by its name.
func (in *interp) test(name string, v value, args []value) (bool, error) {
	if ok, done := kindTest(name, v); done {
		return ok, nil
	}
	if name == "odd" || name == "even" {
		n, _, isInt, ok := number(v)
		if !ok || !isInt {
			return false, faultAt(0, "is %s of a %s", name, typeName(v))
		}
		return (n%2 == 0) == (name == "even"), nil
	}
	relations := map[string]string{
		"eq": "==", "equalto": "==", "ne": "!=", "lt": "<", "lessthan": "<", "le": "<=",
		"gt": ">", "greaterthan": ">", "ge": ">=", "in": "in",
	}
	op, isRelation := relations[name]
	if !isRelation && name != "divisibleby" && name != "sameas" {
		return false, faultAt(0, "the test %q is not supported in chat templates", name)
	}
	if len(args) != 1 {
		return false, faultAt(0, "is %s takes one argument", name)
	}
	switch name {
	case "divisibleby":
		rest, err := in.binary("%", v, args[0])
		return !truth(rest), err
	case "sameas":
		return typeName(v) == typeName(args[0]) && in.equal(v, args[0], 0), nil
	}
	return in.relation(op, v, args[0])
}

// kindTest runs the tests of what a value is; done is false for other tests.
func kindTest(name string, v value) (ok, done bool) {
	_, missing := v.(undefined)
	_, isBool := v.(bool)
	t, isText := v.(Text)
	d, isDict := v.(*Dict)
	_, isList := v.(*List)
	_, isFunction := v.(*function)
	_, _, isInt, isNumber := number(v)
	isDict = isDict && !d.namespace
	switch name {
	case "defined":
		return !missing, true
	case "undefined":
		return missing, true
	case "none":
		return v == nil, true
	case "boolean":
		return isBool, true
	case "true", "false":
		return isBool && v.(bool) == (name == "true"), true
	case "string":
		return isText, true
	case "number":
		return isNumber, true
	case "integer":
		return isInt && !isBool, true
	case "float":
		return isNumber && !isInt, true
	case "mapping":
		return isDict, true
	case "sequence", "iterable":
		return isText || isList || isDict || missing, true
	case "callable":
		return isFunction, true
	case "upper":
		return isText && isKind(t.s, "isupper"), true
	case "lower":
		return isText && isKind(t.s, "islower"), true
	}
	return false, false
}
