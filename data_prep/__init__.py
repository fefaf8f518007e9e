"""Photos in, a data set of image pyramids out: decode, align, crop, filter, store; and a drawn sample."""
