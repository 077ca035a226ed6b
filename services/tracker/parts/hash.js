// The page routes by its fragment.
hashed = 1;
