#include "lib/json.h"

bool json_fits(struct span json, size_t values)
{
	size_t levels = 0, count = 1;
	bool in_text = false;

	for (size_t i = 0; i < json.len; i++) {
		char c = json.ptr[i];

		if (in_text && c == '\\') {
			i++;
		} else if (c == '"') {
			in_text = !in_text;
		} else if (!in_text) {
			levels += c == '[' || c == '{';
			levels -= c == ']' || c == '}'; /* one too many: it is not JSON */
			count += c == '[' || c == '{' || c == ',';
		}
		if (levels > JSON_LEVELS_MOST || count > values)
			return false;
	}
	return true;
}
