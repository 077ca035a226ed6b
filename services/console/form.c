#include "services/console/form.h"

#include "lib/json.h"

#define VALUES_MOST 1000 /* of a form */

bool form_is_same_origin(struct span origin, struct span host)
{
	struct span scheme = { origin.ptr, span_find(origin, ':') };

	if (!origin.len)
		return true;
	if (!host.len || !(span_equals_nocase(scheme, SPAN("http")) ||
				 span_equals_nocase(scheme, SPAN("https"))))
		return false;
	origin = span_from(origin, scheme.len);
	return span_starts_with(origin, SPAN("://")) &&
	       span_equals_nocase(span_from(origin, 3), host);
}

bool form_is_json(struct span content_type)
{
	struct span type = span_first(content_type, span_find(content_type, ';'));

	return span_equals_nocase(span_trim(type), SPAN("application/json"));
}

int form_parse(json_t **out, struct span body, struct err *err)
{
	json_error_t why;
	json_t *form;

	if (!json_fits(body, VALUES_MOST))
		return err_set(err, -EINVAL, "the body has more than %d levels or %d values",
			JSON_LEVELS_MOST, VALUES_MOST);
	form = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &why);
	if (!form)
		return err_set(
			err, -EINVAL, "the body is not JSON: %s (byte %d)", why.text, why.position);
	if (!json_is_object(form)) {
		json_decref(form);
		return err_set(err, -EINVAL, "the body is not a JSON object");
	}
	*out = form;
	return 0;
}

int form_text(const char **out, const json_t *form, const char *name, size_t most,
	const char *fallback, struct err *err)
{
	const json_t *member = json_object_get(form, name);

	if (!member && fallback) {
		*out = fallback;
		return 0;
	}
	if (!member)
		return err_set(err, -EINVAL, "\"%s\" is missing", name);
	if (!json_is_string(member))
		return err_set(err, -EINVAL, "\"%s\" is not a text", name);
	if (!json_string_length(member))
		return err_set(err, -EINVAL, "\"%s\" is empty", name);
	if (json_string_length(member) > most)
		return err_set(err, -EINVAL, "\"%s\" has more than %zu bytes", name, most);
	*out = json_string_value(member);
	return 0;
}

int form_admit(struct http_request *req)
{
	if (!form_is_same_origin(http_header(req, "Origin"), http_header(req, "Host"))) {
		http_answer_error(req, 403, "this request comes from a page of another origin");
		return -EACCES;
	}
	if (!form_is_json(http_header(req, "Content-Type"))) {
		http_answer_error(req, 415, "the Content-Type is not application/json");
		return -EINVAL;
	}
	return 0;
}

int form_read(struct http_request *req, json_t **out)
{
	struct span body;
	struct err err = { 0 };
	int rc = form_admit(req);

	if (!rc)
		rc = http_body(req, FORM_MOST, &body);
	if (rc)
		return rc;
	rc = form_parse(out, body, &err);
	if (rc)
		http_answer_error(req, 400, "%s", err.msg);
	return rc;
}
